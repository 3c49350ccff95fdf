// Package localslack is a Slack workspace on the loopback interface, for
// gatestay dev, demos and tests. slack-go talks to it unchanged through its
// APIURL option: the Web API methods that an approval app uses, Socket Mode
// over WebSocket, signed interaction posts, response URLs, Block Kit with
// Slack's limits, rate limits, and Slack's own shape of errors. A page shows
// each channel as a person in Slack would see it, and its buttons work.
//
// It keeps everything in memory and sends nothing anywhere but to the app.
// Faults (Workspace.SetFaults) make it misbehave as Slack does on bad days.
//
// Source of limits, errors and payloads: https://docs.slack.dev/reference and
// https://docs.slack.dev/apis/events-api/using-socket-mode.
package localslack

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// shutdownLimit is short: a connection that was dialled and never used would
// otherwise be waited for.
const shutdownLimit = 300 * time.Millisecond

// Options describe a workspace. The zero value of a field has a default that
// the field names.
type Options struct {
	Team     Team
	App      App
	Users    []User
	Channels []Channel
	Groups   []Group

	BotToken      string // xoxb-…; default: random, see Workspace.BotToken
	AppToken      string // xapp-…; default: random
	SigningSecret string // default: random
	// InteractionURL is where clicks are posted, signed; empty: Socket Mode.
	InteractionURL string
	// EventURL is where what is said in channels is posted, signed; empty: Socket Mode.
	EventURL string

	PostEvery time.Duration // a post a channel; default 1s
	PostBurst int           // posts that may come at once; default 4
	Unlimited bool          // no rate limits at all

	AckTimeout time.Duration // for an envelope or an interaction post; default 3s
	Retries    int           // redeliveries of an unacknowledged envelope; default 1, -1 for none
	PingEvery  time.Duration // default 10s
	Refresh    time.Duration // life of a Socket Mode connection; default 1h

	Clock func() time.Time // default time.Now
	Log   zerolog.Logger
}

// Team is the workspace's identity.
type Team struct{ ID, Name, Domain string }

// App is the one app that is installed.
type App struct{ ID, Name, BotUserID, BotID string }

// Workspace is a running workspace. Safe for concurrent use.
type Workspace struct {
	o      Options
	limits limiter

	mu        sync.Mutex
	base      string // http://host:port, once known
	faults    Faults
	users     map[string]*User
	channels  map[string]*channel
	order     []string // channel ids as configured
	clock     lastTS
	triggers  map[string]*trigger
	responses map[string]*responseURL
	views     map[string]*view
	posted    []Posted

	hub  hub  // of changes, for the page and for waiting tests
	link link // Socket Mode
}

// New returns a workspace with the defaults filled in.
func New(o Options) (*Workspace, error) {
	o.defaults()
	w := &Workspace{
		o: o, users: map[string]*User{}, channels: map[string]*channel{}, triggers: map[string]*trigger{},
		responses: map[string]*responseURL{}, views: map[string]*view{},
	}
	w.limits.start(o)
	w.link.start()
	for _, u := range o.Users {
		if u.ID == "" || u.Name == "" || w.users[u.ID] != nil {
			return nil, fmt.Errorf("localslack: user %q (%s) needs an id of its own and a name", u.ID, u.Name)
		}
		if u.TeamID == "" {
			u.TeamID = o.Team.ID
		}
		w.users[u.ID] = &u
	}
	w.users[o.App.BotUserID] = &User{ID: o.App.BotUserID, Name: o.App.Name, RealName: o.App.Name, TeamID: o.Team.ID, Bot: true}
	for _, c := range o.Channels {
		if c.ID == "" || c.Name == "" || w.channels[c.ID] != nil {
			return nil, fmt.Errorf("localslack: channel %q (%s) needs an id of its own and a name", c.ID, c.Name)
		}
		w.channels[c.ID] = &channel{Channel: c}
		w.order = append(w.order, c.ID)
	}
	for _, g := range o.Groups {
		for _, u := range g.Members {
			if w.users[u] == nil {
				return nil, fmt.Errorf("localslack: group %s names user %s, who is not in the workspace", g.ID, u)
			}
		}
	}
	return w, nil
}

func (o *Options) defaults() {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	duration := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.Team.ID, "T0LOCAL")
	set(&o.Team.Name, "Acme")
	set(&o.Team.Domain, "acme")
	set(&o.App.ID, "A0GATESTAY")
	set(&o.App.Name, "Gatestay")
	set(&o.App.BotUserID, "U0GATESTAY")
	set(&o.App.BotID, "B0GATESTAY")
	set(&o.BotToken, "xoxb-local-"+random(16))
	set(&o.AppToken, "xapp-local-"+random(16))
	set(&o.SigningSecret, random(16))
	duration(&o.PostEvery, time.Second)
	duration(&o.AckTimeout, 3*time.Second)
	duration(&o.PingEvery, 10*time.Second)
	duration(&o.Refresh, time.Hour)
	if o.PostBurst == 0 {
		o.PostBurst = 4
	}
	if o.Retries == 0 {
		o.Retries = 1
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
}

// BotToken returns the token that the app calls the Web API with.
func (w *Workspace) BotToken() string { return w.o.BotToken }

// AppToken returns the app-level token that Socket Mode needs.
func (w *Workspace) AppToken() string { return w.o.AppToken }

// SigningSecret returns what interaction posts are signed with.
func (w *Workspace) SigningSecret() string { return w.o.SigningSecret }

// TeamID returns the workspace's id.
func (w *Workspace) TeamID() string { return w.o.Team.ID }

// AppID returns the installed app's id.
func (w *Workspace) AppID() string { return w.o.App.ID }

// URL returns http://host:port of the workspace's page, once it is served.
func (w *Workspace) URL() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.base
}

// APIURL returns what slack-go's OptionAPIURL takes.
func (w *Workspace) APIURL() string { return w.URL() + "/api/" }

func (w *Workspace) setBase(host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.base == "" {
		w.base = "http://" + host
	}
}

// SetEventURL is SetInteractionURL for events.
func (w *Workspace) SetEventURL(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.o.EventURL = address
}

// SetInteractionURL turns interactions to signed HTTP posts, or, with an empty
// address, back to Socket Mode.
func (w *Workspace) SetInteractionURL(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.o.InteractionURL = address
}

// Serve serves the workspace on a loopback listener until ctx ends, and waits
// for all that it started.
func (w *Workspace) Serve(ctx context.Context, l net.Listener) error {
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return fmt.Errorf("localslack: %s is not a loopback address; the workspace has no sign-in", l.Addr())
	}
	w.setBase(l.Addr().String())
	server := &http.Server{Handler: w.Handler(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		w.hub.close() // ends the page's streams, which Shutdown would wait for
		shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit)
		defer cancel()
		if server.Shutdown(shutdown) != nil {
			_ = server.Close()
		}
		err = <-done
	}
	w.Close()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("localslack: serve: %w", err)
	}
	return nil
}

// Close ends all Socket Mode connections and streams and waits for them. It is
// for those who serve Handler themselves; Serve does it.
func (w *Workspace) Close() {
	w.hub.close()
	w.link.close()
}

func (w *Workspace) now() time.Time { return w.o.Clock() }

// random returns n random bytes in hex.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}
