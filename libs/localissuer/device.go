package localissuer

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const deviceLife = 10 * time.Minute

// device is one pending sign-in of RFC 8628.
type device struct {
	userCode, client string
	expiry, polled   time.Time
	interval         time.Duration
	person           string // who said yes
	denied           bool
}

var devicePollHelp = map[string]string{ //nolint:gosec // error names, no credentials
	"authorization_pending": "nobody entered the code yet",
	"slow_down":             "poll less often: five seconds more",
	"access_denied":         "the person said no",
	"expired_token":         "the code is unknown, used or expired",
}

func (i *Issuer) deviceAuthorization(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || !i.client(r.PostForm.Get("client_id")) {
		fail(w, http.StatusBadRequest, "invalid_client", "the client is not known here")
		return
	}
	now := i.o.Clock()
	code := random(24)
	d := &device{userCode: newUserCode(), client: r.PostForm.Get("client_id"), expiry: now.Add(deviceLife), interval: i.o.Interval}
	if !i.keepDevice(code, d, now) {
		fail(w, http.StatusTooManyRequests, "temporarily_unavailable", "too many sign-ins at once")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": d.userCode, "verification_uri": i.url + "/device",
		"verification_uri_complete": i.url + "/device?user_code=" + d.userCode,
		"expires_in":                int(deviceLife.Seconds()), "interval": int(d.interval.Round(time.Second).Seconds()),
	})
}

// newUserCode is eight consonants: no words, and letters that are told apart.
func newUserCode() string {
	const letters = "BCDFGHJKLMNPQRSTVWXZ" // 20, RFC 8628, section 6.1
	out := make([]byte, 0, 9)
	for b := make([]byte, 1); len(out) < 9; {
		_, _ = rand.Read(b) // never fails
		switch {
		case len(out) == 4:
			out = append(out, '-')
		case b[0] < 240: // no bias: 240 = 12 × 20
			out = append(out, letters[int(b[0])%len(letters)])
		}
	}
	return string(out)
}

func (i *Issuer) keepDevice(code string, d *device, now time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for c, old := range i.devices {
		if now.After(old.expiry) {
			delete(i.devices, c)
		}
	}
	if len(i.devices) >= maxPending {
		return false
	}
	i.devices[code] = d
	return true
}

// pollDevice answers a poll: who signed in, or a code of RFC 8628, section 3.5.
func (i *Issuer) pollDevice(code, client string) (person, problem string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.o.Clock()
	d, ok := i.devices[code]
	if !ok || d.client != client || now.After(d.expiry) {
		return "", "expired_token"
	}
	early := !d.polled.IsZero() && now.Sub(d.polled) < d.interval
	d.polled = now
	switch {
	case early:
		d.interval += 5 * time.Second
		return "", "slow_down"
	case d.denied:
		delete(i.devices, code)
		return "", "access_denied"
	case d.person == "":
		return "", "authorization_pending"
	default:
		delete(i.devices, code)
		return d.person, ""
	}
}

// pendingDevice finds a sign-in that waits for an answer. The caller holds mu.
func (i *Issuer) pendingDevice(userCode string) *device {
	for _, d := range i.devices {
		if same(d.userCode, userCode) && d.person == "" && !d.denied && !i.o.Clock().After(d.expiry) {
			return d
		}
	}
	return nil
}

func (i *Issuer) devicePage(w http.ResponseWriter, r *http.Request) {
	code := tidyUserCode(r.URL.Query())
	i.mu.Lock()
	d := i.pendingDevice(code)
	i.mu.Unlock()
	switch {
	case code == "":
		i.showCodeForm(w, "")
	case d == nil:
		i.showCodeForm(w, "This code is not known, was used, or has expired.")
	default:
		proof := r.URL.Query().Get("proof")
		i.showChoice(w, choicePage{
			Action: "/device", Application: d.client, People: i.o.People, UserCode: code, MayDeny: true,
			AskSecret: !i.proved(proof, "", code), Hidden: map[string]string{"user_code": code, "proof": proof},
		})
	}
}

func (i *Issuer) deviceChoice(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		i.showMessage(w, http.StatusBadRequest, "This sign-in cannot go on", "The form could not be read.")
		return
	}
	code := tidyUserCode(r.PostForm)
	if !i.proved(r.PostForm.Get("proof"), r.PostForm.Get("secret"), code) {
		i.showMessage(w, http.StatusForbidden, "This sign-in cannot go on", "The secret is not the content of keys/"+SecretFile+" in the folder of gatestay dev.")
		return
	}
	person, known := i.person(r.PostForm.Get("person"))
	denied := r.PostForm.Has("deny")
	i.mu.Lock()
	defer i.mu.Unlock()
	d := i.pendingDevice(code)
	switch {
	case d == nil:
		i.showMessage(w, http.StatusBadRequest, "This sign-in cannot go on", "This code is not known, was used, or has expired.")
	case denied:
		d.denied = true
		i.showMessage(w, http.StatusOK, "Refused", "The terminal was told no. You can close this page.")
	case !known:
		i.showMessage(w, http.StatusBadRequest, "This sign-in cannot go on", "This person is not known here.")
	default:
		d.person = person.Name
		i.showMessage(w, http.StatusOK, "Signed in as "+person.Title, "Go back to your terminal. You can close this page.")
	}
}

func tidyUserCode(v url.Values) string {
	code := strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(v.Get("user_code")))
	if len(code) != 8 {
		return ""
	}
	return code[:4] + "-" + code[4:]
}
