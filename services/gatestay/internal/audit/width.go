package audit

import (
	"os"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

// columns is how wide the output may be; 0 is no limit (a pipe, a file).
func columns(env *cli.Env) int {
	f, ok := env.Stdout.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		if n, err := strconv.Atoi(env.Getenv("COLUMNS")); err == nil && n >= 20 {
			return n
		}
		return 0
	}
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil || n < 20 {
		return 80
	}
	return n
}

// cells is how many columns of a terminal a text takes.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n += runeCells(r)
	}
	return n
}

func runeCells(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// fit cuts a text to n columns; what is cut off shows as an ellipsis.
func fit(s string, n int) string {
	if n <= 0 || cells(s) <= n {
		return s
	}
	used := 0
	for i, r := range s {
		if used+runeCells(r) > n-1 {
			return s[:i] + "…"
		}
		used += runeCells(r)
	}
	return s
}

// pad fills a text up to n columns.
func pad(s string, n int) string { return s + strings.Repeat(" ", max(0, n-cells(s))) }

// wrap breaks a text into lines of at most n columns, at spaces where it can.
func wrap(s string, n int) (lines []string) {
	for paragraph := range strings.SplitSeq(s, "\n") {
		for n > 0 && cells(paragraph) > n {
			at, used, space := 0, 0, -1
			for i, r := range paragraph {
				if used+runeCells(r) > n {
					at = i
					break
				}
				if r == ' ' {
					space = i
				}
				used += runeCells(r)
			}
			if space > 0 {
				lines, paragraph = append(lines, paragraph[:space]), strings.TrimLeft(paragraph[space:], " ")
				continue
			}
			lines, paragraph = append(lines, paragraph[:at]), paragraph[at:]
		}
		lines = append(lines, paragraph)
	}
	return lines
}
