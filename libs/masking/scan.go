package masking

import (
	"slices"
	"strings"
)

// span is what a detector found: b[start:end].
type span struct {
	start, end int
	detector   int
}

// automaton recognises every keyword of every detector in one pass over the
// text (Aho-Corasick, with the failure links folded into the table). Letter
// case of ASCII is ignored here and decided by verify.
type automaton struct {
	class [256]uint8
	digit [256]uint8
	next  []uint16 // state<<6 | class -> state
	hits  [][]hit  // by state
	found []bool   // by state: hits is not empty
}

type hit struct{ detector, length int }

const classBits = 6

var keywords = newAutomaton()

func newAutomaton() *automaton {
	a := &automaton{}
	classes := uint8(1) // 0 stands for all bytes of no keyword
	for i := range catalogue {
		for _, word := range catalogue[i].keywords {
			for _, c := range []byte(word) {
				if a.class[c] != 0 {
					continue
				}
				a.class[c] = classes
				if isLower(c) {
					a.class[c&^0x20] = classes
				}
				classes++
			}
		}
	}
	if classes > 1<<classBits {
		panic("masking: the keywords have more than 63 different letters")
	}
	for c := '0'; c <= '9'; c++ {
		a.digit[c] = 1
	}
	a.state()
	for i := range catalogue {
		for _, word := range catalogue[i].keywords {
			a.add(i, word)
		}
	}
	a.link()
	return a
}

func (a *automaton) state() int {
	a.next = append(a.next, make([]uint16, 1<<classBits)...)
	a.hits = append(a.hits, nil)
	return len(a.hits) - 1
}

func (a *automaton) add(detector int, word string) {
	s := 0
	for _, c := range []byte(word) {
		at := s<<classBits | int(a.class[c])
		if a.next[at] == 0 {
			a.next[at] = uint16(a.state()) //nolint:gosec // some hundred states
		}
		s = int(a.next[at])
	}
	a.hits[s] = append(a.hits[s], hit{detector, len(word)})
}

// link turns the trie into the automaton, breadth first.
func (a *automaton) link() {
	fail := make([]int, len(a.hits))
	var queue []int
	for c := range 1 << classBits {
		if s := int(a.next[c]); s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		a.hits[s] = append(a.hits[s], a.hits[fail[s]]...)
		for c := range 1 << classBits {
			at, back := s<<classBits|c, a.next[fail[s]<<classBits|c]
			if a.next[at] == 0 {
				a.next[at] = back
				continue
			}
			fail[a.next[at]] = int(back)
			queue = append(queue, int(a.next[at]))
		}
	}
	a.found = make([]bool, len(a.hits))
	for s := range a.hits {
		a.found[s] = len(a.hits[s]) > 0
	}
}

// find appends to spans what the detectors of the set find in b. A clean text
// costs one pass and no allocation.
func (set detectorSet) find(b []byte, spans []span) []span {
	var next [detectorCount]int
	first, digits := len(spans), 0
	state := uint16(0)
	for i, c := range b {
		digits += int(keywords.digit[c])
		state = keywords.next[int(state)<<classBits|int(keywords.class[c])]
		if !keywords.found[state] {
			continue
		}
		for _, h := range keywords.hits[state] {
			at := i + 1 - h.length
			if !set.has(h.detector) || at < next[h.detector] {
				continue
			}
			v := catalogue[h.detector].verify(b, at, i+1)
			next[h.detector] = max(next[h.detector], v.next)
			if v.stop > v.start {
				spans = append(spans, span{v.start, v.stop, h.detector})
			}
		}
	}
	if digits >= fewestDigits {
		spans = set.findNumbers(b, spans)
	}
	if slices.ContainsFunc(spans[first:], func(s span) bool { return s.detector == detectAWS }) {
		spans = awsPartner(b, spans)
	}
	return spans
}

func (set detectorSet) findNumbers(b []byte, spans []span) []span {
	if set.has(detectCard) {
		spans = findCards(b, spans)
	}
	if set.has(detectIBAN) {
		spans = findIBANs(b, spans)
	}
	if set.has(detectSSN) {
		spans = findSSNs(b, spans)
	}
	return spans
}

// merge sorts spans and joins those that overlap. A joined span belongs to the
// detector of the stricter strategy.
func merge(spans []span, strategy func(detector int) Strategy) []span {
	if len(spans) < 2 {
		return spans
	}
	slices.SortFunc(spans, func(a, b span) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	out := spans[:1]
	for _, s := range spans[1:] {
		last := &out[len(out)-1]
		if s.start >= last.end {
			out = append(out, s)
			continue
		}
		last.end = max(last.end, s.end)
		if strictness(strategy(s.detector)) > strictness(strategy(last.detector)) {
			last.detector = s.detector
		}
	}
	return out
}

// fold lowers ASCII letters.
func fold(s string) string { return strings.ToLower(s) }
