package login

import (
	"context"
	"crypto/subtle"
	_ "embed" // the page a browser ends at
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/oauth2"
)

const patience = 5 * time.Minute

//go:embed done.html
var donePage []byte

// answer is what the browser brought back.
type answer struct {
	code string
	err  error
}

// viaBrowser signs in with the authorization code flow and PKCE on a loopback
// address (RFC 8252, section 7.3). show gets the URL to open; prove may add to it.
func (p *provider) viaBrowser(ctx context.Context, show func(url string), prove func(state string) []oauth2.AuthCodeOption) (credential, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return credential{}, fmt.Errorf("login: %w", err)
	}
	oauth := p.oauth
	oauth.RedirectURL = "http://" + listener.Addr().String() + "/callback"
	state, nonce, verifier := random(), random(), oauth2.GenerateVerifier()

	answers := make(chan answer, 1)
	server := &http.Server{Handler: callback(p.issuer, listener.Addr().String(), state, answers), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	defer func() {
		// Let the browser have its page, then go.
		end, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer stop()
		_ = server.Shutdown(end)
		_ = server.Close()
		<-served
	}()

	options := append(prove(state), oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", nonce))
	show(oauth.AuthCodeURL(state, options...))
	select {
	case <-ctx.Done():
		return credential{}, fmt.Errorf("login: nobody signed in: %w", ctx.Err())
	case a := <-answers:
		if a.err != nil {
			return credential{}, a.err
		}
		t, err := oauth.Exchange(p.context(ctx), a.code, oauth2.VerifierOption(verifier))
		if err != nil {
			return credential{}, words(err)
		}
		return p.accept(ctx, t, nonce)
	}
}

// callback takes the first answer to this sign-in. A page that guesses our port
// does not know the state.
func callback(issuer, address, state string, answers chan<- answer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		iss := q.Get("iss") // RFC 9207: whose answer it is, where the provider says so
		if r.Host != address || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1 || iss != "" && iss != issuer {
			http.Error(w, "This is not the answer to a sign-in of this terminal.", http.StatusBadRequest)
			return
		}
		a := answer{code: q.Get("code")}
		if a.code == "" {
			a.err = fmt.Errorf("login: the provider refused: %q", q.Get("error"))
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		w.Header().Set("Referrer-Policy", "no-referrer")
		_, _ = w.Write(donePage)
		select {
		case answers <- a:
		default: // only the first counts
		}
	})
	return mux
}

// openBrowser opens a URL in the person's browser, where there is one.
func openBrowser(ctx context.Context, url string) error {
	opener := map[string]string{"linux": "xdg-open", "darwin": "open"}[runtime.GOOS]
	if opener == "" {
		return errors.New("login: no browser known on this system")
	}
	if err := exec.CommandContext(ctx, opener, url).Run(); err != nil { //nolint:gosec // the URL is the provider's, with our query
		return fmt.Errorf("login: %w", err)
	}
	return nil
}
