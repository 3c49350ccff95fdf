package policy

import (
	"github.com/gatestay/gatestay/libs/hours"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// index holds the rules that speak of one target, by what they ask of the
// principal, so that a decision looks at few of them.
type index struct {
	general      []*candidate            // no repository id in the selector
	byRepository map[string][]*candidate // repository id
	changing     bool                    // a condition uses a variable that changes
	hours        []hours.List            // of its rules
	freezes      []*Freeze
}

// candidate is one selector of one rule.
type candidate struct {
	rule    *rule
	matcher *matcher
}

type indexKey struct{ name, environment string }

func (e *Engine) index(t Target) *index {
	key := indexKey{t.Name, t.Environment}
	if have, ok := e.indexes.Load(key); ok {
		return have.(*index)
	}
	made := e.makeIndex(t)
	if e.indexesHeld.Load() < maxIndexes {
		if _, loaded := e.indexes.LoadOrStore(key, made); !loaded {
			e.indexesHeld.Add(1)
		}
	}
	return made
}

func (e *Engine) makeIndex(t Target) *index {
	x := &index{byRepository: map[string][]*candidate{}}
	for _, f := range e.freezes {
		if f.coversTarget(t) {
			x.freezes = append(x.freezes, f.Freeze)
		}
	}
	for _, r := range e.rules {
		if !r.coversTarget(t) {
			continue
		}
		if len(r.Hours) > 0 {
			x.hours = append(x.hours, r.Hours)
		}
		x.changing = x.changing || r.condition != nil && r.condition.uses&changing != 0
		for _, s := range r.Principals {
			c := &candidate{rule: r, matcher: newMatcher(s)}
			if s.RepositoryID == "" {
				x.general = append(x.general, c)
				continue
			}
			x.byRepository[s.RepositoryID] = append(x.byRepository[s.RepositoryID], c)
		}
	}
	return x
}

// each calls f for every rule with a selector that matches, with the best
// match of its selectors. Candidates of one rule are adjacent in each list.
func (x *index) each(p *eventv1.Principal, f func(*rule, match)) {
	lists := [2][]*candidate{x.general, nil}
	if id := p.GetRepositoryId(); id != "" {
		lists[1] = x.byRepository[id]
	}
	for _, list := range lists {
		for i := 0; i < len(list); {
			r, best := list[i].rule, matchNo
			for ; i < len(list) && list[i].rule == r; i++ {
				if m, _ := list[i].matcher.match(p); m > best {
					best = m
				}
			}
			if best != matchNo {
				f(r, best)
			}
		}
	}
}
