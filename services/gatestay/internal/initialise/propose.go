package initialise

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/masking"
)

// proposal is what the masking file holds.
type proposal struct {
	masks []mask
	notes []string // columns that hold something now and then: the detectors' work
}

// mask is one proposed mask.
type mask struct {
	Name     string
	Column   masking.Column
	Type     string
	Strategy masking.Strategy
	Reason   string // a sentence
}

// most is the share of sampled values from which on a column is taken for what
// its values are, in percent.
const most = 50

// detectorKinds say what a column is of which most values are found by a
// detector.
var detectorKinds = map[string]struct {
	what     string
	strategy masking.Strategy
}{
	"email": {"e-mail addresses", masking.Partial}, "card": {"payment card numbers", masking.Partial}, "iban": {"IBANs", masking.Partial},
	"us-ssn": {"US social security numbers", masking.Redact},
}

// secretKind stands for every other detector.
const secretKind = "secrets"

// propose decides for each column. The strictest reason wins.
func propose(tables []*table) proposal {
	p := proposal{}
	taken := map[string]bool{}
	for _, t := range tables {
		for _, c := range t.columns {
			m, ok := maskFor(t, c)
			if !ok {
				if note := noteFor(t, c); note != "" {
					p.notes = append(p.notes, note)
				}
				continue
			}
			m.Column, m.Type = t.column(c), c.typeName
			m.Name = unique(taken, t, c)
			p.masks = append(p.masks, m)
		}
	}
	return p
}

func maskFor(t *table, c *column) (mask, bool) {
	var m mask
	var reasons []string
	if k, ok := byName(t, c); ok {
		m.Strategy = k.strategy
		reasons = append(reasons, "its name says "+k.what)
	}
	if byComment(c) {
		m.Strategy = stricter(m.Strategy, masking.Redact)
		reasons = append(reasons, "its comment in the catalog calls it sensitive")
	}
	for _, detector := range masking.DetectorNames() {
		n := c.found[detector]
		if n == 0 || n*100 < c.values*most || c.document() || c.base == "bytea" {
			continue // documents are the detectors' work: one mask would hide all of it
		}
		what, strategy := secretKind, masking.Redact
		if k, ok := detectorKinds[detector]; ok {
			what, strategy = k.what, k.strategy
		}
		m.Strategy = stricter(m.Strategy, strategy)
		reasons = append(reasons, fmt.Sprintf("%d of %d sampled values hold %s", n, c.values, what))
	}
	if len(reasons) == 0 {
		return mask{}, false
	}
	if !c.text() {
		m.Strategy = masking.Null // what it becomes under any strategy
	} else if c.document() || c.base == "bytea" {
		m.Strategy = masking.Redact
	}
	reasons = slices.Compact(reasons)
	m.Reason = strings.ToUpper(reasons[0][:1]) + reasons[0][1:]
	if len(reasons) > 1 {
		m.Reason += "; " + strings.Join(reasons[1:], "; ")
	}
	return m, true
}

// noteFor tells of a column in which detectors find something now and then.
func noteFor(t *table, c *column) string {
	var parts []string
	for _, detector := range masking.DetectorNames() {
		if n := c.found[detector]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s in %d of %d", detector, n, c.values))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %s sampled values", t.column(c), strings.Join(parts, ", "))
}

func stricter(a, b masking.Strategy) masking.Strategy {
	order := masking.Strategies()
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// unique makes a name of schema, table and column that no other mask has.
func unique(taken map[string]bool, t *table, c *column) string {
	slug := func(s string) string {
		out := strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
				return r
			case r == '_':
				return '-'
			default:
				return -1
			}
		}, snake(s))
		return strings.Trim(out, "-")
	}
	name := strings.Trim(slug(t.name)+"-"+slug(c.name), "-")
	if t.schema != "public" {
		name = strings.Trim(slug(t.schema)+"-"+name, "-")
	}
	if name == "" {
		name = "column"
	}
	base := name
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	taken[name] = true
	return name
}
