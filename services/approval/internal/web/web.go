// Package web is the inbox: pages on which people who are signed in read what
// waits for them and decide it. They are rendered here, work without a script,
// and need no build step: a template, the style sheet and the script are files
// of this folder (static/htmx.min.js is htmx.org 2.0.11 of npm, Zero-Clause BSD,
// unchanged; it has a page replace a part of itself).
//
// Who sees what and who may do what is internal/api's Caller, the same as from
// the terminal. Whatever comes from outside reaches a page as text only
// (html/template), with what hides or reorders text made visible; the content
// security policy lets nothing run that is not a file of this folder.
package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/loopback"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/approval/internal/api"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

const maxForm = 16 << 10

// SignIn is the provider (identity.Browser).
type SignIn interface {
	Begin(ctx context.Context) (identity.Attempt, string, error)
	Finish(ctx context.Context, a identity.Attempt, answer url.Values) (*identity.Person, error)
}

// Options are what the inbox works with.
type Options struct {
	// URL is where browsers reach the service: https, or http on loopback.
	URL      string
	Provider string // in words, for the button
	SignIn   SignIn
	// Secret, 32 bytes, seals cookies: the same at all replicas.
	Secret  []byte
	Backend func() *api.Backend // nil before the bus is connected
	Now     func() time.Time
	Log     zerolog.Logger
}

// Web serves the pages. Safe for concurrent use.
type Web struct {
	o      Options
	url    *url.URL
	secure bool
	vault  *vault
	pages  *pages
	assets map[string]asset
	cross  *http.CrossOriginProtection
	hub    hub
}

// CheckURL says what is wrong with an address for the inbox.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return errors.New("write a host's plain URL, e.g. https://approvals.acme.example")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback.Host(u.Host)):
		return errors.New("people's sessions would travel over plain HTTP; write https://")
	}
	return nil
}

// New returns the inbox.
func New(o Options) (*Web, error) {
	if err := CheckURL(o.URL); err != nil {
		return nil, fmt.Errorf("web: url: %w", err)
	}
	w := &Web{o: o}
	w.url, _ = url.Parse(o.URL) // checked
	w.url.Path = ""
	w.secure = w.url.Scheme == "https"
	var err error
	if w.vault, err = newVault(o.Secret); err != nil {
		return nil, err
	}
	if w.assets, err = readAssets(); err != nil {
		return nil, err
	}
	if w.pages, err = readPages(w.assets); err != nil {
		return nil, err
	}
	w.cross = http.NewCrossOriginProtection()
	if err := w.cross.AddTrustedOrigin(w.url.String()); err != nil { // a proxy may name another Host
		return nil, fmt.Errorf("web: %w", err)
	}
	return w, nil
}

// Mount adds the pages to a mux.
func (w *Web) Mount(mux *http.ServeMux) {
	open := func(pattern string, f http.HandlerFunc) { mux.Handle(pattern, w.guard(f)) }
	open("GET /assets/{name}", w.asset)
	open("GET /signin", w.signInPage)
	open("GET /signin/start", w.signInStart)
	open("GET /signin/callback", w.signInAnswer)
	open("POST /signout", w.form(w.signOut))
	open("GET /{$}", w.page(w.inbox))
	open("GET /decided", w.page(w.decided))
	open("GET /grants", w.page(w.grants))
	open("GET /reviews", w.page(w.reviews))
	open("GET /approvals/{id}", w.page(w.approval))
	open("POST /approvals/{id}/challenge", w.form(w.challenge))
	open("POST /approvals/{id}/close", w.form(w.closeReview))
	open("POST /approvals/{id}/ask", w.form(w.words((*api.Caller).Ask)))
	open("POST /approvals/{id}/answer", w.form(w.words((*api.Caller).Answer)))
	open("POST /approvals/{id}/approve", w.form(w.approve))
	open("POST /approvals/{id}/deny", w.form(w.deny))
	open("POST /approvals/{id}/revoke", w.form(w.revoke))
	open("GET /passkeys", w.page(w.passkeys))
	open("POST /passkeys/options", w.form(w.create))
	open("POST /passkeys", w.form(w.made))
	open("GET /events", w.stream(w.events))
}

// Changed tells open pages of a step; nil is of all. It does not block.
func (w *Web) Changed(st *machine.State) { w.hub.changed(st) }

// Close ends all streams, so that the server can shut down.
func (w *Web) Close() { w.hub.end("") }

const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// guard sets what every answer has, and refuses names that are not ours.
func (w *Web) guard(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // no-referrer would take the Origin from our own forms
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if w.secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		} else if r.Host != w.url.Host {
			w.elsewhere(rw, r)
			return
		}
		next(rw, r)
	})
}

// elsewhere answers a request under another name than the configured one, on
// loopback: another name of this machine is sent on, a foreign one refused.
func (w *Web) elsewhere(rw http.ResponseWriter, r *http.Request) {
	_, port, _ := net.SplitHostPort(r.Host)
	if r.Method == http.MethodGet && loopback.Host(r.Host) && port == w.url.Port() {
		http.Redirect(rw, r, w.url.String()+returnPath(r.URL.Path), http.StatusSeeOther) //nolint:gosec // one of our own pages
		return
	}
	http.Error(rw, "use "+w.url.String(), http.StatusForbidden)
}

// visit is one request of somebody signed in.
type visit struct {
	*api.Caller
	session *session
}

type handler func(http.ResponseWriter, *http.Request, *visit)

// backend is what the pages work on, once it is whole.
func (w *Web) backend() *api.Backend {
	b := w.o.Backend()
	if b == nil {
		return nil
	}
	select {
	case <-b.Store.CaughtUp():
		return b
	default:
		return nil
	}
}

// visitor returns who asks, or answers by itself and returns nil.
func (w *Web) visitor(rw http.ResponseWriter, r *http.Request) *visit {
	b := w.backend()
	if b == nil {
		w.unavailable(rw)
		return nil
	}
	s := w.session(r)
	if s == nil {
		to := "/signin?" + url.Values{"return": {returnPath(r.URL.Path)}}.Encode()
		if partial(r) { // the part would be replaced by the sign-in page
			rw.Header().Set("HX-Redirect", to)
			rw.WriteHeader(http.StatusUnauthorized)
			return nil
		}
		http.Redirect(rw, r, to, http.StatusSeeOther)
		return nil
	}
	return &visit{Caller: w.as(b, s), session: s}
}

// partial reports a request that a script makes to keep a page up to date. It
// does not keep a session alive.
func partial(r *http.Request) bool { return r.Header.Get("HX-Request") != "" }

// page lets somebody signed in through.
func (w *Web) page(next handler) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		if v := w.visitor(rw, r); v != nil {
			if !partial(r) {
				w.renew(rw, v.session)
			}
			next(rw, r, v)
		}
	}
}

// stream is page for a stream: without a session it is not there, and nothing
// is to be followed.
func (w *Web) stream(next handler) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		b := w.backend()
		s := w.session(r)
		if b == nil || s == nil {
			http.Error(rw, "not signed in", http.StatusUnauthorized)
			return
		}
		next(rw, r, &visit{Caller: w.as(b, s), session: s})
	}
}

// form lets a form of one of our own pages through: from our origin, with the
// token of this very session.
func (w *Web) form(next handler) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(rw, r.Body, maxForm)
		v := w.visitor(rw, r)
		if v == nil {
			return
		}
		err := r.ParseForm()
		if origin := w.cross.Check(r); err != nil || origin != nil || !w.vault.fits(v.session, r.PostForm.Get("token")) {
			w.o.Log.Warn().Str("account", v.Account).Msg("a form that is not ours was refused")
			w.render(rw, http.StatusForbidden, "message", view{Title: "Nothing was done", Visit: v, Data: notice{
				Text: "This form did not come from a page that was made for you in this session.", Hint: "Open the page again and send it from there.",
				Link: "/", Label: "Back to the inbox",
			}})
			return
		}
		w.renew(rw, v.session)
		next(rw, r, v)
	}
}

func (w *Web) unavailable(rw http.ResponseWriter) {
	rw.Header().Set("Retry-After", "5")
	w.render(rw, http.StatusServiceUnavailable, "message", view{Title: "Not ready", Data: notice{
		Text: "The approval service is not connected to its bus.", Hint: "Commands stay held meanwhile. Try again in a moment.", Link: "/", Label: "Try again",
	}})
}

// fail shows why something was not done.
func (w *Web) fail(rw http.ResponseWriter, v *visit, err error, back string) {
	var r *refusal.Refusal
	if !errors.As(err, &r) {
		w.o.Log.Error().Err(err).Msg("request of a person failed")
		w.unavailable(rw)
		return
	}
	n := notice{Text: sentence(r.Message), Detail: r.Detail, Hint: sentence(r.Hint), Code: string(r.Code), Link: back, Label: "Back to it"}
	title := "Nothing was done"
	if r.Code == refusal.ApprovalUnknown {
		title, n.Link, n.Label, n.Hint = "Not here", "/", "Back to the inbox", ""
	}
	w.render(rw, api.Status(r.Code), "message", view{Title: title, Visit: v, Data: n})
}
