package web

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/approval/internal/api"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
)

// one is the page of one approval.
type one struct {
	api.Approval
	Lines    [][]run
	Size     string
	Alarms   []string
	Values   []value
	Offers   []offer
	MaxUses  uint32
	MaxLife  string
	Minutes  int64 // of MaxLife
	Voted    bool
	Withheld bool
	Step     approving
	Status   string // what decides which form is shown
}

type value struct {
	Name string
	Text []run
}

// offer is a scope that the rule lets an approver give.
type offer struct{ Scope, Label, Covers string }

// approval shows one, whole, however long.
func (w *Web) approval(rw http.ResponseWriter, r *http.Request, v *visit) {
	a, err := v.Find(r.Context(), r.PathValue("id"))
	if err != nil {
		w.fail(rw, v, err, "/")
		return
	}
	w.render(rw, http.StatusOK, "approval", view{
		Title: approval.Visible(a.Headline), Live: true, Only: a.ID, Visit: v, Data: w.detail(a, v),
	})
}

func (w *Web) detail(a api.Approval, v *visit) one {
	o := one{Approval: a, Lines: lines(a.Statement), Voted: voted(a, v), Withheld: withheld(a)}
	o.Size = plural(len(o.Lines), "line", "lines") + ", " + plural(len([]rune(a.Statement)), "character", "characters")
	for i, p := range a.Parameters {
		o.Values = append(o.Values, value{"$" + strconv.Itoa(i+1), marked(p)})
	}
	o.Alarms, o.Step = alarms(a), w.approving(a, v)
	if a.Offer != nil {
		life := time.Duration(a.Offer.Seconds) * time.Second
		o.MaxUses, o.MaxLife, o.Minutes = a.Offer.Uses, approval.Span(life), max(1, int64(life.Minutes()))
		for _, scope := range a.Offer.Scopes {
			switch scope {
			case policy.ScopeRun:
				o.Offers = append(o.Offers, offer{scope, "For this run", approval.GrantedTo(scope)})
			case policy.ScopeJob:
				o.Offers = append(o.Offers, offer{scope, "For this job", approval.GrantedTo(scope)})
			}
		}
	}
	o.Status = fmt.Sprint(a.MayAsk, " ", a.MayAnswer, " ", len(a.Questions), " ", a.Review != nil && a.Review.MayClose, " ", a.State, " ", a.MayVote, " ", o.Voted, " ", o.Step, " ", a.MayRevoke, " ", a.Unattainable)
	return o
}

// alarms are the gateway's warnings, and what is seen here.
func alarms(a api.Approval) []string {
	out := append([]string{}, a.Warnings...)
	all := strings.Join(append(append([]string{a.Statement}, a.Parameters...), a.Objects...), " ")
	if words := approval.LookAlikes(all); len(words) > 0 {
		out = append(out, "holds words that look like others; they are spelled out below")
	}
	if hides(all) {
		out = append(out, "holds characters that are not visible by themselves, shown as ‹U+…›")
	}
	return out
}

// maxListed is how long a text is looked through for a list, in bytes; its page
// says it all.
const maxListed = 64 << 10

// listed is alarms for a list, which is rendered with every change.
func listed(a api.Approval) []string {
	if len(a.Statement) > maxListed {
		return a.Warnings
	}
	return alarms(a)
}

// scrubbed is what stands for a value that a mask keeps from everybody.
var scrubbed = regexp.MustCompile(`‹[a-z]+ \d+( #[0-9a-f]+)?›`)

func withheld(a api.Approval) bool {
	return scrubbed.MatchString(a.Statement) || slices.ContainsFunc(a.Parameters, scrubbed.MatchString)
}

// approve takes a vote to approve, of the command or of more where it is offered.
func (w *Web) approve(rw http.ResponseWriter, r *http.Request, v *visit) {
	b, err := ballot(r.PathValue("id"), r.PostForm)
	if err == nil {
		b.Assertion, err = assertion(r.PostForm)
	}
	if err == nil {
		_, err = v.Vote(r.Context(), b)
	}
	w.done(rw, r, v, b.Approval, err)
}

// ballot reads a vote to approve from its form.
func ballot(id string, form url.Values) (desk.Ballot, error) {
	b := desk.Ballot{Approval: id, Vote: approval.Approve, Reason: form.Get("reason"), Via: via, Scope: form.Get("scope")}
	if b.Scope == "" { // the limits belong to a grant
		return b, nil
	}
	uses, errUses := number(form.Get("uses"))
	minutes, errMinutes := number(form.Get("minutes"))
	if errUses != nil || errMinutes != nil {
		return b, &refusal.Refusal{
			Code: refusal.ApprovalInvalid, ID: id, Message: "uses and minutes are whole numbers of at least 1, or empty for all that the rule lets",
		}
	}
	b.Uses, b.Life = uses, time.Duration(minutes)*time.Minute
	return b, nil
}

// deny takes a vote to deny.
func (w *Web) deny(rw http.ResponseWriter, r *http.Request, v *visit) {
	b := desk.Ballot{Approval: r.PathValue("id"), Vote: approval.Deny, Reason: r.PostForm.Get("reason"), Via: via}
	_, err := v.Vote(r.Context(), b)
	w.done(rw, r, v, b.Approval, err)
}

// revoke ends a grant.
func (w *Web) revoke(rw http.ResponseWriter, r *http.Request, v *visit) {
	id := r.PathValue("id")
	_, err := v.Revoke(r.Context(), desk.Revocation{Approval: id, Reason: r.PostForm.Get("reason"), Via: via})
	w.done(rw, r, v, id, err)
}

const via = "web"

// done shows the approval as it is now; sending a form again does nothing.
func (w *Web) done(rw http.ResponseWriter, r *http.Request, v *visit, id string, err error) {
	if err != nil {
		w.fail(rw, v, err, back(id))
		return
	}
	http.Redirect(rw, r, back(id), http.StatusSeeOther)
}

func back(id string) string { return returnPath("/approvals/" + id) }

// number reads a limit; empty is none.
func number(s string) (uint32, error) {
	if s = strings.TrimSpace(s); s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint32(n), err
}
