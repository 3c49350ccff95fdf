package policy

import (
	"fmt"
	"strings"

	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

// notice is a problem or a finding, ready to be printed.
type notice struct {
	place, rule, what, remedy string
}

func (f *folder) problem(p policy.Problem) notice {
	n := notice{place: f.path(p.File), rule: p.Rule, what: p.What, remedy: p.Remedy}
	if p.Line > 0 {
		n.place = fmt.Sprintf("%s:%d:%d", n.place, p.Line, p.Column)
	}
	return n
}

func (f *folder) finding(x policy.Finding) notice {
	if x.File == "" {
		return notice{place: "target " + x.Target, what: x.What, remedy: x.Remedy}
	}
	return f.problem(policy.Problem{File: x.File, Line: x.Line, Column: x.Column, Rule: x.Rule, What: x.What, Remedy: x.Remedy})
}

// print writes notices under a coloured label each.
func (f *folder) print(p *ui.Printer, label string, notices []notice) {
	pad := strings.Repeat(" ", len([]rune(label)))
	paint := p.Warn
	if label == "problem" {
		paint = p.Bad
	}
	for _, n := range notices {
		head := p.Strong(n.place)
		if n.rule != "" {
			head += p.Dim("  rule " + n.rule)
		}
		p.Line(paint(label) + "  " + head)
		p.Line(pad + "  " + n.what)
		p.Line(pad + "  " + p.Accent(f.env.Typed("→ "+n.remedy)))
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "y") {
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// effect renders an effect in its colour.
func effect(p *ui.Printer, e policy.Effect) string {
	switch policy.Effect(strings.ToLower(string(e))) {
	case policy.Allow:
		return p.Good(string(e))
	case policy.Hold:
		return p.Warn(string(e))
	default:
		return p.Bad(string(e))
	}
}
