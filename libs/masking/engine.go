package masking

import (
	"fmt"
	"sync"
)

// Engine holds compiled masking rules. It is immutable and safe for concurrent
// use.
type Engine struct {
	rules   []compiled
	keys    *keys
	targets *targets
}

// targets caches what the rules mean for each target.
type targets struct{ views sync.Map }

// view is what the rules mean for one target.
type view struct {
	columns   []masked                // named by column rules, strategies other than clear and clear
	names     map[string]struct{}     // lower-case names of masked (not clear) columns
	detectors detectorSet             // in results
	strategy  [detectorCount]Strategy // by detector
}

// masked is a column with the strategy that the rules give it.
type masked struct {
	Column
	strategy  Strategy
	comparing comparing
	translate bool
}

// WithKey returns an engine with the same rules and a masking key of 32 random
// bytes, the gateway's own. Without a key, hash and token fall back to redact,
// and tags are left out.
func (e *Engine) WithKey(key [32]byte) (*Engine, error) {
	k, err := newKeys(key)
	if err != nil {
		return nil, err
	}
	return &Engine{rules: e.rules, keys: k, targets: e.targets}, nil
}

// Rules returns the rules in the order of file names and lines.
func (e *Engine) Rules() []Rule {
	out := make([]Rule, len(e.rules))
	for i, r := range e.rules {
		out[i] = r.Rule
	}
	return out
}

// Columns returns the columns that rules mask for a target (those under clear
// are not among them), each once.
func (e *Engine) Columns(target string) []Column {
	v := e.view(target)
	var out []Column
	for _, m := range v.columns {
		if m.strategy != Clear {
			out = append(out, m.Column)
		}
	}
	return out
}

// Masks says in words what is masked for a target: "public.customers.email
// (partial)", "email anywhere (redact)".
func (e *Engine) Masks(target string) []string {
	v := e.view(target)
	var out []string
	for _, m := range v.columns {
		out = append(out, fmt.Sprintf("%s (%s)", m.Column, m.strategy))
	}
	for i, d := range catalogue {
		if v.detectors.has(i) {
			out = append(out, fmt.Sprintf("%s anywhere (%s)", d.name, v.strategy[i]))
		}
	}
	return out
}

func (e *Engine) view(target string) *view {
	if v, ok := e.targets.views.Load(target); ok {
		return v.(*view)
	}
	v := &view{names: map[string]struct{}{}}
	at := map[Column]int{}
	for _, r := range e.rules {
		switch {
		case !r.applies(target):
		case r.detectors != 0:
			v.detectors |= r.detectors
			for i := range catalogue {
				if r.detectors.has(i) {
					v.strategy[i] = stricter(v.strategy[i], r.Strategy)
				}
			}
		default:
			i, seen := at[r.column]
			if !seen {
				i = len(v.columns)
				at[r.column] = i
				v.columns = append(v.columns, masked{Column: r.column, comparing: r.comparing(), translate: true})
			}
			v.columns[i].translate = v.columns[i].translate && r.Translate
			v.columns[i].comparing = v.columns[i].comparing.stricter(r.comparing())
			v.columns[i].strategy = stricter(v.columns[i].strategy, r.Strategy)
		}
	}
	for _, m := range v.columns {
		if m.strategy != Clear {
			v.names[fold(m.Name)] = struct{}{}
		}
	}
	e.targets.views.Store(target, v)
	return v
}

// of returns the strategy for a catalog column, empty where no rule names it.
func (v *view) of(origin Column) Strategy {
	var s Strategy
	if origin.Name == "" {
		return s
	}
	for _, m := range v.columns {
		if m.Covers(origin) {
			s = stricter(s, m.strategy)
		}
	}
	return s
}
