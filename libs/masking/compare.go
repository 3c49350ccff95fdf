package masking

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
)

// Compare says which comparisons of a masked column a command may make: a
// filter, a join or an order over it tells of values that the mask hides.
type Compare struct {
	// Allow are the allowed uses; nil is equality, join, group and is_null.
	Allow []command.Use `yaml:"allow"`
	// ValuesPerDay is how many different values a principal may ask for by
	// equality, a day (UTC); nil is 20.
	ValuesPerDay *int `yaml:"values_per_day,omitempty"`
	// Otherwise is what becomes of the rest; empty is hold.
	Otherwise Otherwise `yaml:"otherwise,omitempty"`
}

// Otherwise is what becomes of a comparison that is not allowed.
type Otherwise string

// The ways, from the strictest.
const (
	OtherwiseDeny  Otherwise = "deny"  // refused, also where a person would approve it
	OtherwiseHold  Otherwise = "hold"  // refused unless a policy rule holds the command
	OtherwiseAllow Otherwise = "allow" // let pass, as if the column had no mask
)

const (
	defaultValuesPerDay = 20
	maxValuesPerDay     = 1000
)

// defaultUses are allowed where a rule names none.
var defaultUses = []command.Use{command.Equality, command.Join, command.Group, command.Null}

// comparing is a Compare with its defaults filled in, or the strictest of several.
type comparing struct {
	allow        []command.Use
	valuesPerDay int
	otherwise    Otherwise
}

func (r *Rule) comparing() comparing {
	c := comparing{allow: defaultUses, valuesPerDay: defaultValuesPerDay, otherwise: OtherwiseHold}
	if r.Compare == nil {
		return c
	}
	if r.Compare.Allow != nil {
		c.allow = r.Compare.Allow
	}
	if r.Compare.ValuesPerDay != nil {
		c.valuesPerDay = *r.Compare.ValuesPerDay
	}
	if r.Compare.Otherwise != "" {
		c.otherwise = r.Compare.Otherwise
	}
	return c
}

// stricter keeps what both allow.
func (c comparing) stricter(d comparing) comparing {
	out := comparing{valuesPerDay: min(c.valuesPerDay, d.valuesPerDay), otherwise: c.otherwise}
	for _, o := range []Otherwise{OtherwiseAllow, OtherwiseHold, OtherwiseDeny} {
		if c.otherwise == o || d.otherwise == o {
			out.otherwise = o
		}
	}
	for _, u := range command.Uses() {
		if c.allows(u) && d.allows(u) {
			out.allow = append(out.allow, u)
		}
	}
	return out
}

func (c comparing) allows(u command.Use) bool {
	return c.otherwise == OtherwiseAllow || slices.Contains(c.allow, u)
}

// hides reports that c allows nothing that d does not.
func (c comparing) hides(d comparing) bool {
	order := []Otherwise{OtherwiseAllow, OtherwiseHold, OtherwiseDeny}
	return c.valuesPerDay <= d.valuesPerDay && slices.Index(order, c.otherwise) >= slices.Index(order, d.otherwise) &&
		!slices.ContainsFunc(command.Uses(), func(u command.Use) bool { return c.allows(u) && !d.allows(u) })
}

// Hides reports that what is stored from one masked column in another tells no
// more there: its mask is as strict, and no more may be asked about it. From may
// be none in particular, or what is computed from one.
func (e *Engine) Hides(target string, to, from command.Column) bool {
	v := e.view(target)
	in := func(c command.Column) Column { return Column{Schema: c.Schema, Table: c.Table, Name: c.Name} }
	there, here := v.of(in(to)), v.of(in(from))
	if here == "" { // it may be of any of them
		from, here = command.Column{}, Redact
		for _, m := range v.columns {
			here = stricter(here, m.strategy)
		}
	}
	return there != "" && strictness(there) >= strictness(here) && v.comparing(to).hides(v.comparing(from))
}

// Counted is an equality of which the value counts: no principal may ask for
// more than PerDay different ones.
type Counted struct {
	command.Compared
	PerDay int
}

// Compare judges the comparisons of a command. It returns those that count, and
// a refusal where one is not allowed; final reports that it stands even where a
// person would approve the command.
func (e *Engine) Compare(target string, list []command.Compared) (counted []Counted, refused *refusal.Refusal, final bool) {
	v := e.view(target)
	for _, c := range list {
		rule := v.comparing(c.Mask)
		if rule.otherwise == OtherwiseAllow {
			continue
		}
		allowed := rule.allows(c.Use) && c.Same && c.Mask != (command.Column{})
		switch {
		case allowed && c.Use == command.Equality:
			counted = append(counted, Counted{c, rule.valuesPerDay})
		case !allowed && (refused == nil || rule.otherwise == OtherwiseDeny && !final):
			refused, final = rule.refusal(c, target), rule.otherwise == OtherwiseDeny
		}
	}
	return counted, refused, final
}

// comparing are the limits for a masked column as a rule names it: the
// strictest of all rules that cover it. For none in particular: of all rules.
func (v *view) comparing(mask command.Column) comparing {
	of := Column{Schema: mask.Schema, Table: mask.Table, Name: mask.Name}
	var out *comparing
	for _, m := range v.columns {
		if m.strategy == Clear || mask != (command.Column{}) && !m.Covers(of) {
			continue
		}
		next := m.comparing
		if out != nil {
			next = out.stricter(next)
		}
		out = &next
	}
	if out == nil { // the rules have changed since
		return (&Rule{}).comparing()
	}
	return *out
}

func (c comparing) refusal(x command.Compared, target string) *refusal.Refusal {
	column := Column{Schema: x.Column.Schema, Table: x.Column.Table, Name: x.Column.Name}.String()
	r := &refusal.Refusal{
		Code:    refusal.ComparisonMasked,
		Message: fmt.Sprintf("column %s is masked here, and this command uses its values by %s, which tells of them", column, useWords[x.Use]),
		Detail:  "Allowed with its values: " + c.words() + ".",
	}
	look := "Look one value up with WHERE column = $1, or leave the column out."
	switch {
	case x.Column.Name == "":
		look = "Send it outside of the transaction, by itself, or in words that can be understood."
		r.Message = "columns of " + target + " are masked, and how this command uses their values could not be established"
		if x.Why != "" {
			r.Message += ": " + x.Why
		}
	case x.Use == command.Join && !x.Same, x.Use == command.Group && !x.Same:
		r.Message = fmt.Sprintf("column %s is masked here, and this command compares it with something that does not have the same mask, which tells of its values", column)
	}
	if r.Hint = look; c.otherwise != OtherwiseDeny {
		r.Hint += " A policy rule with effect: hold lets a person decide; a mask's compare: says what is allowed."
	}
	return r
}

// useWords say what a use is.
var useWords = map[command.Use]string{
	command.Equality: "an equality", command.Join: "a join", command.List: "a list (IN, ANY)",
	command.Range: "a range (<, >, BETWEEN)", command.Pattern: "a pattern (LIKE, ~)", command.Order: "an order (ORDER BY)",
	command.Group: "a grouping (GROUP BY, DISTINCT)", command.Null: "a test for NULL", command.Condition: "a condition",
	command.Expression: "a function, an operator or a cast", command.Conflict: "ON CONFLICT",
	command.Key: "a unique or foreign key that checks them", command.Other: "something that is not understood",
}

// words say what is allowed.
func (c comparing) words() string {
	var out []string
	for _, u := range command.Uses() {
		if !slices.Contains(c.allow, u) {
			continue
		}
		switch u {
		case command.Equality:
			out = append(out, fmt.Sprintf("equality with one literal or parameter (at most %d different values a day)", c.valuesPerDay))
		case command.Join:
			out = append(out, "join with a column that has the same mask")
		default:
			out = append(out, string(u))
		}
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

// ComparedByName finds the comparisons of masked columns by their names, where
// no catalog can be asked: through a view or a foreign key, it finds none.
func (e *Engine) ComparedByName(target string, f *command.Facts) []command.Compared {
	masks := e.Columns(target)
	under := func(c command.Column) []command.Column {
		var out []command.Column
		for _, m := range masks {
			if c.Name == "*" && m.coversTable(c.Schema, c.Table) || m.Covers(Column{Schema: c.Schema, Table: c.Table, Name: c.Name}) {
				out = append(out, command.Column{Schema: m.Schema, Table: m.Table, Name: m.Name})
			}
		}
		return out
	}
	var out []command.Compared
	for _, x := range f.Comparisons {
		for _, mask := range under(x.Column) {
			same := x.Use != command.Join
			if x.With != (command.Column{}) {
				with := under(x.With)
				same = len(with) == 1 && with[0] == mask
			}
			out = append(out, command.Compared{Comparison: x, Mask: mask, Same: same})
		}
	}
	return out
}

// Comparisons says in words which comparisons of masked columns are allowed:
// "public.customers.email: equality …; anything else only where a person approves it".
func (e *Engine) Comparisons(target string) []string {
	v := e.view(target)
	var out []string
	for _, m := range v.columns {
		if m.strategy == Clear {
			continue
		}
		c := v.comparing(command.Column{Schema: m.Schema, Table: m.Table, Name: m.Name})
		switch c.otherwise {
		case OtherwiseAllow:
			out = append(out, m.String()+": any")
		case OtherwiseDeny:
			out = append(out, m.String()+": "+c.words()+"; nothing else")
		case OtherwiseHold:
			out = append(out, m.String()+": "+c.words()+"; anything else only where a person approves it")
		}
	}
	return out
}

// CompareHash names a value for counting: keyed, so that nothing can be guessed
// back from it. ok is false without a key.
func (e *Engine) CompareHash(value []byte) (hash [16]byte, ok bool) {
	if e.keys == nil {
		return hash, false
	}
	return [16]byte(mac(e.keys.compareKey, value, len(hash))), true
}

// LiteralValue returns what a literal of a command's text says, for CompareHash:
// 'it”s' says it's. What is no plain string says itself.
func LiteralValue(text string, l command.Literal) []byte {
	if l.Start < 0 || l.End > len(text) || l.Start >= l.End {
		return nil
	}
	own := text[l.Start:l.End]
	if tokens := lex(own); len(tokens) == 1 && tokens[0].kind == tokenString && !tokens[0].open {
		return []byte(tokens[0].value(own))
	}
	return []byte(own)
}
