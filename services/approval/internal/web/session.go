package web

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/services/approval/internal/api"
)

const (
	sessionLife = 8 * time.Hour    // at most, whatever happens
	idleLife    = time.Hour        // without a page asked for by the person
	renewAfter  = time.Minute      // between two cookies of a session in use
	signInLife  = 10 * time.Minute // from the button to the provider's answer
	maxGroups   = 2000             // bytes of names: a cookie holds 4,096
)

// session is somebody's sign-in. It rests nowhere but in its cookie, sealed
// (AES-256-GCM) with a key that is derived from the approval service's own: so
// every replica with that key knows it, a restart loses none, and nothing has to
// be shared but the ids of those that were signed out before their time.
type session struct {
	ID      string    `json:"id"`
	Account string    `json:"account"`
	Name    string    `json:"name,omitempty"` // the provider's word, for display
	Started time.Time `json:"started"`
	Seen    time.Time `json:"seen"`
	// Groups are those that the ID token named. They count until it ends.
	Groups    []string  `json:"groups,omitempty"`
	GroupsEnd time.Time `json:"groups_end,omitzero"`
}

// ends is when it is over unless it is used.
func (s *session) ends() time.Time {
	if idle := s.Seen.Add(idleLife); idle.Before(s.Started.Add(sessionLife)) {
		return idle
	}
	return s.Started.Add(sessionLife)
}

// attempt is a sign-in under way, sealed in a cookie of its own: an answer that
// arrives in another browser finds none.
type attempt struct {
	identity.Attempt
	Return string    `json:"return"`
	Until  time.Time `json:"until"`
}

var errUnsealed = errors.New("web: not sealed here")

// vault seals cookies and makes forms' tokens. Safe for concurrent use.
type vault struct {
	aead  cipher.AEAD
	forms []byte
}

// newVault returns a vault for a secret of 32 bytes.
func newVault(secret []byte) (*vault, error) {
	use := func(purpose string) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(purpose))
		return mac.Sum(nil)
	}
	block, err := aes.NewCipher(use("cookies"))
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return &vault{aead: aead, forms: use("forms")}, nil
}

// seal seals v for one use: what was sealed for another cannot be opened.
func (v *vault) seal(use string, value any) (string, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("web: seal: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(v.aead.Seal(nil, nil, raw, []byte(use))), nil //nolint:gosec // it draws a nonce by itself
}

func (v *vault) open(use, sealed string, into any) error {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return errUnsealed
	}
	if raw, err = v.aead.Open(nil, nil, raw, []byte(use)); err != nil {
		return errUnsealed
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return errUnsealed
	}
	return nil
}

// formToken is what a session's forms carry, so that no other page can have its
// browser send one.
func (v *vault) formToken(s *session) string {
	mac := hmac.New(sha256.New, v.forms)
	mac.Write([]byte(s.ID))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (v *vault) fits(s *session, token string) bool {
	return hmac.Equal([]byte(v.formToken(s)), []byte(token))
}

// signedIn returns a new session; its id was never seen by a browser before.
func (w *Web) signedIn(p *identity.Person) *session {
	now := w.o.Now().UTC()
	s := &session{ID: rand.Text(), Account: p.Account, Name: p.Name, Started: now, Seen: now}
	if len(strings.Join(p.Groups, "--")) <= maxGroups {
		s.Groups, s.GroupsEnd = p.Groups, p.Expiry.UTC()
	}
	return s
}

// as returns who a session speaks for, in the groups that its ID token named as
// long as that token would be taken.
func (w *Web) as(b *api.Backend, s *session) *api.Caller {
	if !w.o.Now().Before(s.GroupsEnd) {
		return b.As(s.Account)
	}
	return b.As(s.Account, s.Groups...)
}

// session returns the request's session, nil where there is none in force.
func (w *Web) session(r *http.Request) *session {
	s := &session{}
	if !w.cookie(r, cookieSession, s) || s.ID == "" || s.Account == "" || !w.o.Now().Before(s.ends()) || w.ended(s.ID) {
		return nil
	}
	return s
}

// ended reports that a session was signed out, here or at another replica.
func (w *Web) ended(id string) bool {
	b := w.o.Backend()
	return b != nil && b.Store.SignedOut(id)
}

// renew gives a session in use its next hour.
func (w *Web) renew(rw http.ResponseWriter, s *session) {
	if w.o.Now().Sub(s.Seen) < renewAfter {
		return
	}
	s.Seen = w.o.Now().UTC()
	w.setCookie(rw, cookieSession, s, s.ends())
}

// The cookies, by use.
const (
	cookieSession = "session"
	cookieSignIn  = "signin"
)

// cookieName binds a cookie to the host and to HTTPS. On loopback over plain
// HTTP, where browsers take no such cookie, it names the port: ports share
// cookies.
func (w *Web) cookieName(use string) string {
	if w.secure {
		return "__Host-gatestay_" + use
	}
	return "gatestay_" + use + "_" + w.url.Port()
}

func (w *Web) cookie(r *http.Request, use string, into any) bool {
	found := r.CookiesNamed(w.cookieName(use))
	return len(found) == 1 && w.vault.open(use, found[0].Value, into) == nil
}

func (w *Web) setCookie(rw http.ResponseWriter, use string, value any, until time.Time) {
	sealed, err := w.vault.seal(use, value)
	if err != nil {
		w.o.Log.Error().Err(err).Msg("a cookie could not be sealed")
		return
	}
	w.writeCookie(rw, use, sealed, max(1, int(until.Sub(w.o.Now()).Seconds())))
}

func (w *Web) dropCookie(rw http.ResponseWriter, use string) { w.writeCookie(rw, use, "", -1) }

func (w *Web) writeCookie(rw http.ResponseWriter, use, value string, seconds int) {
	http.SetCookie(rw, &http.Cookie{ //nolint:gosec // Secure wherever there is HTTPS; New lets plain HTTP be on loopback only
		Name: w.cookieName(use), Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: w.secure, SameSite: http.SameSiteLaxMode,
	})
}
