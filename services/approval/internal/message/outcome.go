package message

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/people"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

// Why the service itself ended an approval.
const (
	WhyRuleChanged = approval.RuleChanged
	WhyForged      = "request_forged"
)

var reasons = map[string]string{
	approval.ClientGone:      "the client went away",
	approval.ClientCancelled: "the client cancelled the command",
	approval.GatewayStopping: "the gateway is stopping; the command can be run again",
	approval.RuleChanged:     "the rule changed while the command was held; running it again asks anew",
	approval.DeadlinePassed:  "its time was over",
	approval.Withdrawn:       "the file was put back, or changed again",
	WhyForged:                "the request contradicted its rule, which is a sign of tampering",
}

// Reason says in words why an approval was cancelled or could not be used.
func Reason(why string) string {
	if s, ok := reasons[why]; ok {
		return s
	}
	return "the gateway gave up (" + approval.Visible(why) + ")"
}

// waiting says who must still decide, and who has.
func (in Input) waiting() slack.Block {
	a := in.Request.GetApprovers()
	var lines []string
	for _, v := range in.State.Votes {
		if v.Vote == approval.Approve {
			lines = append(lines, ":white_check_mark: "+in.voter(v)+" approved")
		}
	}
	missing := in.Tally.Missing()
	names := strings.Join(in.approvers(), ", ")
	if names == "" {
		names = "nobody who is left"
	}
	switch {
	case !in.Attainable.Met():
		lines = append(lines, fmt.Sprintf(":no_entry: *Nobody can approve this:* it takes %d, and only %d of %s may. Somebody can deny it, or the rule be changed.",
			in.Attainable.Needed, len(in.Attainable.Counted), names))
	case in.Request.Returned && missing <= 1:
		lines = append(lines, "Waiting for "+either(in.approvers()), ":leftwards_arrow_with_hook: The job does not wait. Approved, this very command passes once when the job runs again, within "+
			inline(approval.Span(in.Request.GetOffer().GetLife().AsDuration()))+".")
	case len(in.Tally.Groups) > 0:
		lines = append(lines, in.groups()...)
	case missing > 1 || in.Tally.Needed > 1:
		lines = append(lines, fmt.Sprintf("*%d of %d approvals* still needed, from %s", missing, in.Tally.Needed, names))
	default:
		lines = append(lines, "Waiting for "+either(in.approvers()))
	}
	if n := len(in.Request.GetPlan().GetRules()); n > 0 {
		lines = append(lines, ":scroll: Approved, each statement passes once and in this order when the same job runs the plan, within "+span(approval.Span(approval.PlanLife))+".")
		if n > 1 {
			lines = append(lines, fmt.Sprintf(":busts_in_silhouette: It falls under %d rules; the approvers of every one of them must approve.", n))
		}
	}
	if len(in.Tally.Unplaced) > 0 && in.Tally.Needed > int(max(a.GetCount(), 1)) {
		lines = append(lines, ":information_source: more than the rule asks, because the people map does not know "+in.unplaced())
	}
	return section(strings.Join(lines, "\n"))
}

// either joins names as a person would: "a, b or c".
func either(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

func (in Input) unplaced() string {
	var names []string
	for _, u := range in.Tally.Unplaced {
		if u == "unknown" {
			names = append(names, "who started this")
			continue
		}
		if u == people.Author {
			names = append(names, "who changed the file")
			continue
		}
		names = append(names, span(u))
	}
	return strings.Join(names, ", ")
}

// approvers mentions those whom the rule names and who can still vote, each
// once.
func (in Input) approvers() []string {
	var out []string
	seen := map[string]bool{}
	for _, v := range in.State.Votes {
		v.For = ""
		seen[in.voter(v)] = true
	}
	add := func(account, shown string) {
		if !seen[shown] && (in.Admits == nil || in.Admits(account)) {
			seen[shown] = true
			out = append(out, shown)
		}
	}
	for _, g := range in.places() {
		in.members(g, add, func(shown string) {
			if !slices.Contains(out, shown) {
				out = append(out, shown)
			}
		})
	}
	return out
}

// places are the groups of the request's rule, and of the further rules of a plan.
func (in Input) places() []*eventv1.ApproverGroup {
	e := electorate.Electorate{Approvers: in.Request.GetApprovers()}
	for _, rule := range in.Request.GetPlan().GetRules() {
		e.And = append(e.And, rule.GetApprovers())
	}
	return e.Places()
}

// members names those of a group: each account, and the groups within it, and so
// those whom it has escalated to.
func (in Input) members(g *eventv1.ApproverGroup, account func(account, shown string), group func(shown string)) {
	in.source(g, account, group)
	if to := in.escalatedTo(g); to != nil {
		in.source(to, account, group)
	}
}

// escalatedTo is whom a group has escalated to; nil for nobody yet.
func (in Input) escalatedTo(g *eventv1.ApproverGroup) *eventv1.ApproverGroup {
	x := g.GetEscalation()
	if x == nil || in.State.Escalated == nil || in.State.Escalated.At.Before(in.Request.GetRequestedAt().AsTime().Add(x.GetAfter().AsDuration())) {
		return nil
	}
	return x.GetTo()
}

// escalated mentions those whom the request has escalated to.
func (in Input) escalated() []string {
	var out []string
	add := func(shown string) {
		if !slices.Contains(out, shown) {
			out = append(out, shown)
		}
	}
	for _, g := range in.places() {
		if to := in.escalatedTo(g); to != nil {
			in.source(to, func(account, shown string) {
				if in.Admits == nil || in.Admits(account) {
					add(shown)
				}
			}, add)
		}
	}
	return out
}

func (in Input) source(g *eventv1.ApproverGroup, account func(account, shown string), group func(shown string)) {
	for _, id := range g.GetSlackUsers() {
		account("slack:"+id, mention(id))
	}
	for _, name := range g.GetPersons() {
		for _, a := range in.People.Accounts(name) {
			account(a, in.person(name))
		}
	}
	for _, id := range g.GetSlackGroups() {
		if slackGroup.MatchString(id) {
			group("<!subteam^" + id + ">")
		} else {
			group(span(id))
		}
	}
	for _, name := range g.GetOnCall() {
		group("whoever is on call in " + span(name))
	}
	for _, name := range g.GetOidcGroups() {
		group("group " + span(name))
	}
}

// groups says of each group of an all_of who fills it and who still could.
func (in Input) groups() []string {
	var lines []string
	for i, g := range in.places() {
		if i >= len(in.Tally.Groups) {
			break
		}
		t := in.Tally.Groups[i]
		var names []string
		add := func(shown string) {
			if !slices.Contains(names, shown) {
				names = append(names, shown)
			}
		}
		in.members(g, func(account, shown string) {
			if in.Admits == nil || in.Admits(account) {
				add(shown)
			}
		}, add)
		sign := ":hourglass_flowing_sand:"
		if len(t.Counted) >= t.Needed {
			sign = ":white_check_mark:"
		}
		line := fmt.Sprintf("%s %s: %d of %d", sign, span(t.Name), len(t.Counted), t.Needed)
		if len(t.Counted) < t.Needed {
			line += ", of " + either(names)
		}
		lines = append(lines, line)
	}
	return append(lines, "One person counts for one group.")
}

// person mentions a person by the Slack account that the map gives them.
func (in Input) person(name string) string {
	for _, a := range in.People.Accounts(name) {
		if id, ok := strings.CutPrefix(a, "slack:"); ok {
			return mention(id)
		}
	}
	return inline(name)
}

var (
	slackID    = regexp.MustCompile(`^[UW][A-Z0-9]{1,20}$`)
	slackGroup = regexp.MustCompile(`^S[A-Z0-9]{1,20}$`)
)

func mention(id string) string {
	if !slackID.MatchString(id) {
		return span(id)
	}
	return "<@" + id + ">"
}

func (in Input) voter(v machine.Vote) string {
	who := in.person(v.Person)
	if id, ok := strings.CutPrefix(v.Account, "slack:"); ok {
		who = mention(id)
	}
	switch v.Via {
	case "cli":
		who += " (from the terminal)"
	case "web":
		who += " (from the web)"
	case "webhook":
		name, _, _ := strings.Cut(strings.TrimPrefix(v.Account, "webhook:"), ":")
		who += " (from " + inline(name) + ")"
	}
	if v.For != "" {
		who += ", for " + in.person(v.For)
	}
	return who
}

// outcome says how it ended.
func (in Input) outcome() string {
	st := in.State
	at := date(st.Ended)
	switch st.Status {
	case machine.Approved:
		var names []string
		for _, v := range st.Votes {
			if v.Counted {
				names = append(names, in.voter(v))
			}
		}
		s := ":white_check_mark: *Approved* by " + strings.Join(names, " and ") + ", " + at
		if st.Grant != nil {
			s += in.grant()
		}
		if st.Latest != nil {
			s += "\n" + ran(st.Latest, st.Grant)
		}
		if st.Void != "" {
			s += "\n:warning: *But it did not run:* " + inline(Reason(st.Void))
		}
		return s
	case machine.Denied:
		return ":no_entry: *Denied*" + in.denial() + ", " + at
	case machine.Expired:
		return ":hourglass: *Expired:* nobody decided in time, " + at
	case machine.Cancelled, machine.Waiting, machine.InReview, machine.Reviewed:
	}
	return ":door: *Cancelled:* " + inline(Reason(st.Why)) + ", " + at
}

// grant says what was given beyond the command, and whether it still holds.
func (in Input) grant() string {
	g := in.State.Grant
	s := "\n:key: Covers " + approval.GrantedTo(g.Scope)
	if g.Uses > 1 {
		s += fmt.Sprintf(", at most %d", g.Uses)
	}
	switch {
	case !g.Revoked.IsZero():
		return s + "\n:lock: *Revoked* by " + in.person(g.By) + ", " + date(g.Revoked)
	case g.Over:
		return s + ". Its time is over."
	}
	return s + ", until " + date(g.Expires)
}

// ran says how the command ended, or the latest of those that a grant let pass.
func ran(r *machine.Run, g *machine.Grant) string {
	shown, _ := cut(r.Message, maxField/4)
	e := approval.Ending{Status: r.Status, Code: r.Code, Message: shown, Rows: r.Rows, Took: r.Duration}
	if g != nil {
		e.Uses, e.Of = r.Uses, g.Uses
	}
	sign := ":grey_question: "
	switch r.Status {
	case "ok":
		sign = ":white_check_mark: "
	case "error", "cancelled", "not_executed":
		sign = ":x: "
	}
	return sign + inline(e.String())
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (in Input) denial() string {
	for _, v := range in.State.Votes {
		if v.Vote != approval.Deny {
			continue
		}
		s := " by " + in.voter(v)
		if v.Reason != "" {
			shown, _ := cut(approval.Visible(v.Reason), maxField/2)
			s += " — " + inline(shown)
		}
		return s
	}
	return ""
}
