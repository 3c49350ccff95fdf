package approval_test

import (
	"context"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/localissuer"
)

// startIssuer starts a sign-in provider that knows everybody of the people map,
// and mallory, whom it does not know. It says that sam is in the group dba.
func (w *world) startIssuer() *localissuer.Issuer {
	w.t.Helper()
	var all []localissuer.Person
	for _, name := range []string{"dana", "kim", "riley", "sam", "mallory"} {
		all = append(all, localissuer.Person{Name: name, Title: strings.ToUpper(name[:1]) + name[1:], Subject: "local-" + name, Email: name + "@acme.example"})
	}
	all[slices.IndexFunc(all, func(p localissuer.Person) bool { return p.Name == "sam" })].Groups = []string{"dba"}
	i, err := localissuer.New(localissuer.Options{Dir: filepath.Join(w.dir, "issuer"), People: all})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- i.Serve(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
	return i
}

// withInbox has a replica serve pages to those whom the issuer signs in.
func withInbox(i *localissuer.Issuer) func(*config.Config) {
	return func(c *config.Config) {
		c.People.Issuer, c.People.ClientID, c.People.Loopback = i.URL(), "gatestay-cli", true
	}
}

// browser is somebody's browser without scripts.
type browser struct {
	t      *testing.T
	base   string
	client *http.Client
}

func (r *replica) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.w.t.Fatal(err)
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r.w.t.Cleanup(client.CloseIdleConnections)
	return &browser{t: r.w.t, base: "http://" + r.service.Addr(), client: client}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (b *browser) send(method, path string, form url.Values, header ...string) answer {
	b.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.base + path
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	resp, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(raw)}
}

func (b *browser) get(path string, header ...string) answer {
	b.t.Helper()
	return b.send(http.MethodGet, path, nil, header...)
}

func (a answer) location() string { return a.header.Get("Location") }

// authorize goes through the provider's page and returns where it sends the
// browser then.
func (b *browser) authorize(i *localissuer.Issuer, at, name string) string {
	b.t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		b.t.Fatal(err)
	}
	form := u.Query()
	form.Set("person", name)
	form.Set("secret", i.Secret())
	to := b.send(http.MethodPost, i.URL()+"/authorize", form)
	if to.status != http.StatusSeeOther {
		b.t.Fatalf("the provider answers %d %s", to.status, to.body)
	}
	return to.location()
}

// signIn signs somebody in from a page and returns where they end up.
func (b *browser) signIn(i *localissuer.Issuer, name, from string) string {
	b.t.Helper()
	start := b.get("/signin/start?" + url.Values{"return": {from}}.Encode())
	if start.status != http.StatusSeeOther {
		b.t.Fatalf("the sign-in does not start: %d %s", start.status, start.body)
	}
	end := b.get(b.authorize(i, start.location(), name))
	if end.status != http.StatusSeeOther {
		b.t.Fatalf("%s is not signed in: %d %s", name, end.status, end.body)
	}
	return end.location()
}

func (r *replica) signedIn(i *localissuer.Issuer, name string) *browser {
	r.w.t.Helper()
	b := r.browser()
	b.signIn(i, name, "/")
	return b
}

var tokenField = regexp.MustCompile(`name="token" value="([^"]+)"`)

// token is that of the forms of a page.
func (b *browser) token(page string) string {
	b.t.Helper()
	m := tokenField.FindStringSubmatch(b.get(page).body)
	if m == nil {
		b.t.Fatalf("%s has no form", page)
	}
	return html.UnescapeString(m[1])
}

// act sends one of an approval's forms.
func (b *browser) act(q *request, what string, fields ...string) answer {
	b.t.Helper()
	form := url.Values{"token": {b.token("/approvals/" + q.Id)}}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.send(http.MethodPost, "/approvals/"+q.Id+"/"+what, form, "Origin", b.base)
}

// sees waits until a page holds a text.
func (b *browser) sees(path, text string) answer {
	b.t.Helper()
	var a answer
	until(b.t, text+" on "+path, func() bool {
		a = b.get(path)
		return strings.Contains(a.body, text)
	})
	return a
}

// plainClient keeps no cookies and follows no redirects.
func plainClient(t *testing.T) *http.Client {
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

var errNoCookie = errors.New("no such cookie")

// cookieValue is one of the browser's cookies.
func (b *browser) cookie(part string) (*http.Cookie, error) {
	u, err := url.Parse(b.base)
	if err != nil {
		return nil, err
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if strings.Contains(c.Name, part) {
			return c, nil
		}
	}
	return nil, errNoCookie
}
