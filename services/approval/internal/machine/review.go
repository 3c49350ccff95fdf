package machine

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/electorate"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// A break-glass is an approval for which nobody is waited: it begins in review,
// and ends when people have closed it.
//
//	review ── verdicts suffice ──▶ reviewed
//	   ▲────── another command ────────┘
const (
	InReview Status = "review"
	Reviewed Status = "reviewed"
)

// The verdicts of a review.
const (
	Justified   = "justified"
	Unjustified = "unjustified"
)

// MaxTold is how many commands of a break-glass are kept with their text; the
// audit has all of them.
const MaxTold = 100

const maxToldText = 1000 // characters of a statement

const (
	stepUsed     = "used"
	stepReviewed = "reviewed"
	stepReopened = "reopened"
	stepReminded = "reminded"
)

// Glass is what a break-glass has let pass, and what people say of it.
type Glass struct {
	Commands []GlassCommand `json:"commands"` // the first MaxTold
	Count    uint32         `json:"count"`    // of all
	Seen     []byte         `json:"seen"`     // a bit for each command's number: events may come twice, and in any order
	Failed   uint32         `json:"failed,omitempty"`
	Verdicts []Verdict      `json:"verdicts,omitempty"`
	Verdict  string         `json:"verdict,omitempty"` // of all, once it is closed
	// Known reports that the rule said, at some time, what the request says of it;
	// Forged that it never did.
	Known  bool `json:"known,omitempty"`
	Forged bool `json:"forged,omitempty"`
	// Reminded is how often people were reminded; Told that the gateways know of
	// the closing.
	Reminded int  `json:"reminded,omitempty"`
	Told     bool `json:"told,omitempty"`
}

// GlassCommand is one command that passed.
type GlassCommand struct {
	ID        string    `json:"id"`
	Session   string    `json:"session"`
	Headline  string    `json:"headline"`
	Statement string    `json:"statement"` // scrubbed, and cut
	Reason    string    `json:"reason,omitempty"`
	At        time.Time `json:"at"`
	Status    string    `json:"status,omitempty"` // ok, error, …; empty while it runs
	Rows      int64     `json:"rows,omitempty"`
	Message   string    `json:"message,omitempty"`
}

// Verdict is what one person says of a break-glass.
type Verdict struct {
	Person  string    `json:"person"`
	Account string    `json:"account"`
	Verdict string    `json:"verdict"`
	Note    string    `json:"note"`
	Via     string    `json:"via"`
	At      time.Time `json:"at"`
	Groups  []string  `json:"groups,omitempty"`
}

// Break makes a new state a break-glass, with its own command.
func (s *State) Break(r *eventv1.ApprovalRequest, now time.Time) {
	s.Status = InReview
	s.Glass = &Glass{}
	s.pass(&eventv1.ApprovalUse{
		Number: 1, SessionId: r.SessionId, CommandId: r.CommandId, Verb: r.Verb, Objects: r.Objects, Statement: r.Statement, At: r.RequestedAt,
	}, now)
}

// Used notes a further command. A closed review is open again with it. It reports
// false where the command is known.
func (s *State) Used(u *eventv1.ApprovalUse, now time.Time) bool {
	if s.Glass == nil || s.Glass.seen(u.Number) {
		return false
	}
	s.glass()
	s.pass(u, now)
	s.step(stepUsed, now, func(r *eventv1.Record) {
		r.Actor, r.SessionId, r.CommandId = "gateway/"+s.Gateway, u.SessionId, u.CommandId
		r.Verb, r.Class, r.Objects, r.Statement, r.Parameters, r.Reason = u.Verb, u.Class, u.Objects, u.Statement, u.Parameters, u.Reason
		r.Details["number"] = strconv.FormatUint(uint64(u.Number), 10)
	})
	if s.Status == Reviewed {
		s.Status, s.Ended = InReview, time.Time{}
		s.Glass.Verdicts, s.Glass.Verdict = nil, ""
		s.step(stepReopened, now, func(r *eventv1.Record) { r.Actor, r.CommandId = service, u.CommandId })
	}
	return true
}

func (g *Glass) seen(n uint32) bool { return int(n/8) < len(g.Seen) && g.Seen[n/8]&(1<<(n%8)) != 0 }

// glass makes the state's own copy.
func (s *State) glass() {
	g := *s.Glass
	g.Commands, g.Verdicts, g.Seen = slices.Clone(g.Commands), slices.Clone(g.Verdicts), slices.Clone(g.Seen)
	s.Glass = &g
	s.Slack.Final = false
}

func (s *State) pass(u *eventv1.ApprovalUse, now time.Time) {
	g := s.Glass
	for len(g.Seen) <= int(u.Number/8) {
		g.Seen = append(g.Seen, 0)
	}
	g.Seen[u.Number/8] |= 1 << (u.Number % 8)
	g.Count++
	if len(g.Commands) >= MaxTold {
		return
	}
	text := u.Statement
	if runes := []rune(text); len(runes) > maxToldText {
		text = string(runes[:maxToldText-1]) + "…"
	}
	at := now
	if u.At != nil {
		at = u.At.AsTime()
	}
	g.Commands = append(g.Commands, GlassCommand{
		ID: u.CommandId, Session: u.SessionId, Headline: approval.Headline(u.Verb, u.Objects), Statement: text, Reason: u.Reason, At: at.UTC(),
	})
}

// Passed notes how a command of a break-glass ended.
func (s *State) Passed(o *eventv1.ApprovalOutcome) bool {
	if s.Glass == nil {
		return false
	}
	i := slices.IndexFunc(s.Glass.Commands, func(c GlassCommand) bool { return c.ID == o.CommandId })
	if i < 0 || s.Glass.Commands[i].Status != "" {
		return false
	}
	s.glass()
	c := &s.Glass.Commands[i]
	c.Status, c.Rows, c.Message = o.Status, o.Rows, strings.TrimSpace(o.Code+" "+o.Message)
	if o.Status != "ok" {
		s.Glass.Failed++
	}
	return true
}

// Reviewing returns the verdicts so far as an electorate counts them.
func (s *State) Reviewing() []electorate.Ballot {
	var out []electorate.Ballot
	for _, v := range s.Glass.Verdicts {
		out = append(out, electorate.Ballot{Account: v.Account, Groups: v.Groups, At: v.At})
	}
	return out
}

// Review adds a verdict, in place of the same person's earlier one. It reports
// false where nothing is new.
func (s *State) Review(v Verdict) bool {
	i := slices.IndexFunc(s.Glass.Verdicts, func(old Verdict) bool { return old.Person == v.Person })
	if i >= 0 && s.Glass.Verdicts[i].Verdict == v.Verdict {
		return false
	}
	s.glass()
	if i >= 0 {
		s.Glass.Verdicts[i] = v
	} else {
		s.Glass.Verdicts = append(s.Glass.Verdicts, v)
	}
	s.step(stepReviewed, v.At, func(r *eventv1.Record) {
		r.Actor, r.Reason = v.Person, v.Note
		r.Details["verdict"], r.Details["account"], r.Details["via"] = v.Verdict, v.Account, v.Via
		if len(v.Groups) > 0 {
			r.Details["groups"] = strings.Join(v.Groups, " ")
		}
	})
	return true
}

// Close ends the review: one verdict that it was not justified is the verdict.
func (s *State) Close(now time.Time) {
	s.glass()
	s.Status, s.Ended, s.Glass.Verdict, s.Glass.Told = Reviewed, now.UTC(), Justified, false
	var persons []string
	for _, v := range s.Glass.Verdicts {
		persons = append(persons, v.Person)
		if v.Verdict == Unjustified {
			s.Glass.Verdict = Unjustified
		}
	}
	s.step(stepDecided, now, func(r *eventv1.Record) {
		r.Actor, r.Outcome, r.Approvers = service, string(Reviewed), persons
		r.Details["verdict"], r.Details["commands"] = s.Glass.Verdict, strconv.FormatUint(uint64(s.Glass.Count), 10)
		r.WaitNs = now.Sub(s.Received).Nanoseconds()
	})
}

// Vouched notes whether the signed rules say what the request says of its rule.
func (s *State) Vouched(so bool) bool {
	if s.Glass == nil || s.Glass.Known || s.Glass.Forged {
		return false
	}
	s.glass()
	s.Glass.Known, s.Glass.Forged = so, !so
	return true
}

// ToldClosed notes that the gateways know of the closing.
func (s *State) ToldClosed() bool {
	if s.Glass == nil || s.Glass.Told || s.Status != Reviewed {
		return false
	}
	g := *s.Glass
	g.Told = true
	s.Glass = &g
	return true
}

// RemindAt is when people are to be reminded next.
func (s *State) RemindAt() time.Time {
	return s.Received.Add(time.Duration(s.Glass.Reminded+1) * remindAfter)
}

// remindAfter is how long a review is open before people are reminded, and again.
const remindAfter = 24 * time.Hour

// Remind notes that it is time to remind people of an open review. It reports
// false where it is not.
func (s *State) Remind(now time.Time) bool {
	if s.Status != InReview || s.Glass == nil || now.Before(s.RemindAt()) {
		return false
	}
	s.glass()
	s.Glass.Reminded = int(now.Sub(s.Received) / remindAfter)
	s.Slack.Notes = append(s.Slack.Notes, Note{ID: "reminder_" + strconv.Itoa(s.Glass.Reminded), Kind: NoteReminder, At: now.UTC()})
	s.step(stepReminded, now, func(r *eventv1.Record) { r.Actor, r.Details["days"] = service, strconv.Itoa(s.Glass.Reminded) })
	return true
}
