package web

import (
	"context"
	"net/http"

	"github.com/gatestay/gatestay/services/approval/internal/api"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
)

// words takes a question, or an answer.
func (w *Web) words(f func(*api.Caller, context.Context, desk.Words) (api.Approval, error)) handler {
	return func(rw http.ResponseWriter, r *http.Request, v *visit) {
		id := r.PathValue("id")
		_, err := f(v.Caller, r.Context(), desk.Words{Approval: id, Text: r.PostForm.Get("text"), Via: via})
		w.done(rw, r, v, id, err)
	}
}
