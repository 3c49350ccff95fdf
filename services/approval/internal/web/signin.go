package web

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"

	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/refusal"
)

// ours are the addresses that a sign-in may come back to: a list of our own
// pages, not a test of what is foreign.
var ours = regexp.MustCompile(`^/(decided|grants|approvals/apr_[0-9A-Z]{26})?$`)

func returnPath(raw string) string {
	if ours.MatchString(raw) {
		return raw
	}
	return "/"
}

// signInPage offers to sign in.
func (w *Web) signInPage(rw http.ResponseWriter, r *http.Request) {
	back := returnPath(r.URL.Query().Get("return"))
	if w.session(r) != nil {
		http.Redirect(rw, r, back, http.StatusSeeOther) //nolint:gosec // one of our own pages
		return
	}
	w.render(rw, http.StatusOK, "signin", view{Title: "Sign in", Data: map[string]any{
		"Start": "/signin/start?" + url.Values{"return": {back}}.Encode(), "Provider": w.o.Provider, "Out": r.URL.Query().Has("out"),
	}})
}

// signInStart sends the browser to the provider.
func (w *Web) signInStart(rw http.ResponseWriter, r *http.Request) {
	a, to, err := w.o.SignIn.Begin(r.Context())
	if err != nil {
		w.signInFailed(rw, err)
		return
	}
	until := w.o.Now().Add(signInLife)
	w.setCookie(rw, cookieSignIn, attempt{Attempt: a, Return: returnPath(r.URL.Query().Get("return")), Until: until}, until)
	http.Redirect(rw, r, to, http.StatusSeeOther)
}

// signInAnswer takes the provider's answer. A session that the browser had
// before is replaced, never taken over.
func (w *Web) signInAnswer(rw http.ResponseWriter, r *http.Request) {
	a := attempt{}
	begun := w.cookie(r, cookieSignIn, &a) && w.o.Now().Before(a.Until)
	w.dropCookie(rw, cookieSignIn)
	if !begun {
		w.signInFailed(rw, &refusal.Refusal{
			Code: refusal.TokenInvalid, Message: "this sign-in did not begin in this browser, or too long ago", Hint: "sign in again",
		})
		return
	}
	p, err := w.o.SignIn.Finish(r.Context(), a.Attempt, r.URL.Query())
	if err != nil {
		w.signInFailed(rw, err)
		return
	}
	s := w.signedIn(p)
	w.setCookie(rw, cookieSession, s, s.ends())
	w.o.Log.Info().Str("account", p.Account).Msg("signed in to the inbox")
	http.Redirect(rw, r, returnPath(a.Return), http.StatusSeeOther)
}

func (w *Web) signInFailed(rw http.ResponseWriter, err error) {
	status := http.StatusForbidden
	if errors.Is(err, identity.ErrIssuerUnavailable) {
		status = http.StatusServiceUnavailable
	}
	var r *refusal.Refusal
	if !errors.As(err, &r) {
		r = &refusal.Refusal{Code: refusal.TokenInvalid, Message: "the sign-in failed", Hint: "sign in again"}
	}
	w.o.Log.Warn().Err(err).Msg("sign-in to the inbox failed")
	w.render(rw, status, "message", view{Title: "Not signed in", Data: notice{Text: sentence(r.Message), Hint: sentence(r.Hint), Link: "/signin", Label: "Sign in"}})
}

// signOut ends the session, at every replica.
func (w *Web) signOut(rw http.ResponseWriter, r *http.Request, v *visit) {
	if err := v.Store.SignOut(r.Context(), v.session.ID, v.session.Started.Add(sessionLife)); err != nil {
		w.o.Log.Error().Err(err).Msg("a sign-out did not reach the other replicas")
		w.render(rw, http.StatusServiceUnavailable, "message", view{Title: "Not signed out", Data: notice{
			Text: "The sign-out could not be written down, so you are still signed in.", Hint: "Try again in a moment.", Link: "/", Label: "Back",
		}})
		return
	}
	w.dropCookie(rw, cookieSession)
	w.hub.end(v.session.ID)
	http.Redirect(rw, r, "/signin?out", http.StatusSeeOther)
}
