package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/allowance"
)

// compare denies what policy allows where a command uses the values of masked
// columns in a way that their masks do not allow. What policy holds is left to
// a person, who sees it, unless a mask says otherwise. approved: one has seen it.
func (a *admission) compare(approved bool) {
	f := &a.command.Facts
	if a.decision.Effect == policy.Deny || a.masking == nil {
		return
	}
	a.translated = a.masking.Engine.Translate(a.session.target, a.command.Parameters, f)
	if r := a.masking.Engine.WrittenBack(a.session.target, a.command.Text, a.command.Parameters, f, a.translated); r != nil {
		a.decision.Effect, a.unmasking = policy.Deny, r
		return
	}
	list := f.Compared
	if len(list) == 0 {
		return
	}
	counted, refused, final := a.masking.Engine.Compare(a.session.target, list)
	if refused != nil && f.IsUnknown("verb") && f.Why != "" {
		refused = unread(a.session.target, f.Why)
	}
	switch {
	case refused != nil && (final || !approved && a.decision.Effect == policy.Allow):
		a.decision.Effect, a.unmasking = policy.Deny, refused
	case !approved && a.decision.Effect == policy.Allow:
		a.counted = counted
	}
}

// unread refuses a text that could not even be read, mostly for a slip of the pen,
// by saying that, and not what masks allow.
func unread(target, why string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.CommandUnknown, Message: why,
		Detail: "Columns of " + target + " are masked, so that what cannot be read is not run there.",
		Hint:   "Correct the text, or write it in words that can be read.",
	}
}

// spend counts the values of equalities against what the day allows.
func (s *Session) spend(ctx context.Context, a *admission) error {
	for _, c := range a.counted {
		if _, ok := a.translated[c.Parameter-1]; ok {
			continue // who has a token has seen that the value is there
		}
		value, ok := a.value(c)
		if !ok {
			return s.refuse(a, &refusal.Refusal{
				Code: refusal.ComparisonMasked, ID: a.id, Rule: a.decision.Rule,
				Message: fmt.Sprintf("column %s is masked here, and what it is compared with is not known", name(c.Column)),
				Hint:    "Send the value as a literal, or bind it as a parameter.",
			})
		}
		if value == nil {
			continue // NULL equals nothing
		}
		hash, ok := a.masking.Engine.CompareHash(value)
		if !ok || s.gate.Compared == nil {
			return s.refuse(a, uncounted(a))
		}
		key := allowance.Key(append(identityOf(s), s.target, c.Mask.Schema, c.Mask.Table, c.Mask.Name)...)
		err := s.gate.Compared.Spend(ctx, s.gate.Now(), key, c.PerDay, hash)
		switch {
		case errors.Is(err, allowance.ErrSpent):
			return s.refuse(a, &refusal.Refusal{
				Code: refusal.ComparisonLimit, ID: a.id, Rule: a.decision.Rule,
				Message: fmt.Sprintf("column %s is masked here, and this job has asked for %d different values of it today, which is all that a day allows", name(c.Column), c.PerDay),
				Detail:  "A value that was asked for today may be asked for again. The count begins anew at midnight UTC.",
				Hint:    "A policy rule with effect: hold lets a person decide; the mask's compare.values_per_day sets how many.",
			})
		case err != nil:
			return fmt.Errorf("%w: %w", s.refuse(a, uncounted(a)), err)
		}
	}
	return nil
}

func uncounted(a *admission) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.BusUnavailable, ID: a.id, Rule: a.decision.Rule,
		Message: "how many values of a masked column were asked for today cannot be counted: the bus does not answer",
		Hint:    "Try again in a moment; commands that compare masked columns are refused until it is back.",
	}
}

// translations are the parameters that a record says were translated.
func (a *admission) translations() string {
	var names []string
	for i := range a.translated {
		names = append(names, "$"+strconv.Itoa(i+1))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// identityOf is what stays the same of a principal from run to run.
func identityOf(s *Session) []string {
	p := s.principal
	if p.GetRepositoryId() != "" {
		return []string{p.GetIssuer(), "repository", p.GetRepositoryOwnerId(), p.GetRepositoryId()}
	}
	return []string{p.GetIssuer(), "subject", p.GetSubject(), ""}
}

// value is what a column is compared with, nil for NULL.
func (a *admission) value(c masking.Counted) (value []byte, ok bool) {
	switch {
	case c.Literal > 0 && c.Literal <= len(a.command.Facts.Literals):
		return masking.LiteralValue(a.command.Text, a.command.Facts.Literals[c.Literal-1]), true
	case c.Parameter < 1 || c.Parameter > len(a.command.Parameters):
		return nil, false
	}
	p := a.command.Parameters[c.Parameter-1]
	if p.Value == nil || p.Format == 0 || masking.Textual(p.Type) {
		return p.Value, true
	}
	return append([]byte("binary "+strconv.Itoa(int(p.Type))+" "), p.Value...), true
}

func name(c command.Column) string {
	return masking.Column{Schema: c.Schema, Table: c.Table, Name: c.Name}.String()
}
