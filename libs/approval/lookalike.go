package approval

import (
	"fmt"
	"strings"
	"unicode"
)

// LookAlikes returns the words of s that may be read as another word: those
// that mix Latin letters with letters of a script that has twins of them, and
// those written wholly in such twins. Each once, in order; nil where there is
// none, as in ordinary text of any one script.
func LookAlikes(s string) []string {
	var words []string
	seen := map[string]bool{}
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && !unicode.Is(unicode.M, r) && !hidden(r)
	}) {
		if !seen[word] && alike(word) {
			seen[word] = true
			words = append(words, word)
		}
	}
	return words
}

// confusable holds the scripts with letters that look like Latin ones.
var confusable = []*unicode.RangeTable{unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee, unicode.Lisu, unicode.Coptic}

// twins are the letters that look the same as a Latin one in common fonts
// (Unicode TR 39, confusables, those of Cyrillic and Greek).
const twins = "аеорсухіјѕԁһԛԝвкмнтАВЕКМНОРСТХУІЈЅԌԚԜ" + "οναικρυγΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"

func alike(word string) bool {
	var latin, other bool
	twin := true
	for _, r := range word {
		switch {
		case r < 0x80:
			latin = latin || unicode.IsLetter(r)
		case r >= 0xFF01 && r <= 0xFF5E, r >= 0x1D400 && r <= 0x1D7FF: // full width, mathematical letters
			return true
		case unicode.In(r, confusable...):
			other = true
			twin = twin && strings.ContainsRune(twins, r)
		}
	}
	return other && (latin || twin)
}

// SpellOut returns the word with each character beyond ASCII named:
// "pаyments" with a Cyrillic а becomes "p‹U+0430›yments".
func SpellOut(word string) string {
	var b strings.Builder
	for _, r := range word {
		if r < 0x80 {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "‹U+%04X›", r)
	}
	return b.String()
}
