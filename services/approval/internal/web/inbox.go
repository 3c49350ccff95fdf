package web

import (
	"net/http"
	"strings"

	"github.com/gatestay/gatestay/services/approval/internal/api"
)

const maxFilter = 200 // bytes

// list is a page of approvals.
type list struct {
	Path     string
	Filter   string
	Groups   []group
	Filtered bool // the filter leaves none of those that there are
	Unknown  bool // the people map does not know the caller
}

type group struct {
	Title, About string
	Entries      []api.Approval
}

// inbox shows what waits: first what waits for the caller.
func (w *Web) inbox(rw http.ResponseWriter, r *http.Request, v *visit) {
	all, err := v.List(r.Context(), api.Waiting)
	if err != nil {
		w.fail(rw, v, err, "/")
		return
	}
	found, filter := filtered(r, all)
	mine, others := []api.Approval{}, []api.Approval{}
	for _, a := range found {
		if a.MayVote && !voted(a, v) {
			mine = append(mine, a)
		} else {
			others = append(others, a)
		}
	}
	l := list{Path: "/", Filter: filter, Filtered: len(all) > 0 && len(found) == 0, Unknown: v.Person == ""}
	if len(mine) > 0 {
		l.Groups = append(l.Groups, group{"Waiting for you", "", mine})
	}
	if len(others) > 0 {
		l.Groups = append(l.Groups, group{"Waiting for others", "", others})
	}
	w.render(rw, http.StatusOK, "inbox", view{Title: "Waiting", Nav: "inbox", Live: true, Visit: v, Data: l})
}

// decided shows what has ended, the newest first.
func (w *Web) decided(rw http.ResponseWriter, r *http.Request, v *visit) {
	all, err := v.List(r.Context(), api.Decided)
	if err != nil {
		w.fail(rw, v, err, "/")
		return
	}
	found, filter := filtered(r, all)
	l := list{Path: "/decided", Filter: filter, Filtered: len(all) > 0 && len(found) == 0}
	for _, a := range found {
		day := a.RequestedAt.UTC().Format("Monday, 2 January 2006")
		if n := len(l.Groups); n == 0 || l.Groups[n-1].Title != day {
			l.Groups = append(l.Groups, group{Title: day})
		}
		last := &l.Groups[len(l.Groups)-1]
		last.Entries = append(last.Entries, a)
	}
	w.render(rw, http.StatusOK, "decided", view{Title: "Decided", Nav: "decided", Live: true, Visit: v, Data: l})
}

// grants shows what was given beyond single commands and still holds.
func (w *Web) grants(rw http.ResponseWriter, r *http.Request, v *visit) {
	all := v.Grants()
	found, filter := filtered(r, all)
	l := list{Path: "/grants", Filter: filter, Filtered: len(all) > 0 && len(found) == 0}
	if len(found) > 0 {
		l.Groups = []group{{Title: "In force", Entries: found}}
	}
	w.render(rw, http.StatusOK, "grants", view{Title: "Grants", Nav: "grants", Live: true, Visit: v, Data: l})
}

// filtered leaves those that hold every word of the filter, in any case.
func filtered(r *http.Request, all []api.Approval) ([]api.Approval, string) {
	filter := r.URL.Query().Get("q")
	if len(filter) > maxFilter {
		filter = ""
	}
	words := strings.Fields(strings.ToLower(filter))
	if len(words) == 0 {
		return all, filter
	}
	var out []api.Approval
	for _, a := range all {
		text := strings.ToLower(strings.Join([]string{a.ID, a.Headline, a.Who, a.Target, a.Environment, a.Database, a.Rule, a.Reason, a.Statement}, "\n"))
		if holdsAll(text, words) {
			out = append(out, a)
		}
	}
	return out, filter
}

func holdsAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// voted reports that the caller has voted on it.
func voted(a api.Approval, v *visit) bool {
	for _, vote := range a.Votes {
		if vote.Person == v.Person || vote.Person == v.Account {
			return true
		}
	}
	return false
}
