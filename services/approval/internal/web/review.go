package web

import (
	"net/http"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/approval/internal/api"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
)

// reviews shows the break-glasses that nobody has closed yet, the oldest first.
func (w *Web) reviews(rw http.ResponseWriter, r *http.Request, v *visit) {
	all := v.Reviews()
	found, filter := filtered(r, all)
	l := list{Path: "/reviews", Filter: filter, Filtered: len(all) > 0 && len(found) == 0}
	mine, others := []api.Approval{}, []api.Approval{}
	for _, a := range found {
		if a.Review.MayClose {
			mine = append(mine, a)
		} else {
			others = append(others, a)
		}
	}
	if len(mine) > 0 {
		l.Groups = append(l.Groups, group{"For you to review", "", mine})
	}
	if len(others) > 0 {
		l.Groups = append(l.Groups, group{"For others", "", others})
	}
	w.render(rw, http.StatusOK, "reviews", view{Title: "Reviews", Nav: "reviews", Live: true, Visit: v, Data: l})
}

// closeReview takes a verdict.
func (w *Web) closeReview(rw http.ResponseWriter, r *http.Request, v *visit) {
	id := r.PathValue("id")
	_, err := v.Close(r.Context(), desk.Review{Approval: id, Verdict: r.PostForm.Get("verdict"), Note: r.PostForm.Get("note"), Via: via})
	w.done(rw, r, v, id, err)
}

// ended says how a command of a break-glass ended.
func ended(p api.Passed) string {
	if p.Status == "" {
		return "runs, or its end was not told"
	}
	e := approval.Ending{Status: p.Status, Message: p.Message, Rows: p.Rows}
	switch p.Status {
	case "ok":
		return plural(int(p.Rows), "row", "rows")
	case "error":
		return "failed: " + approval.Visible(p.Message)
	}
	return e.String()
}
