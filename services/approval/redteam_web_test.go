package approval_test

import (
	"bufio"
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// hostile is what a job, an agent or a catalog may say to whoever reads it.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)><a href="javascript:alert(3)">x</a>' hx-get="/x" ` + "{{.}} \u202e\u200b\x00\x1b[2J p\u0430yments \u200b"

var (
	opened    = regexp.MustCompile(`(?i)<(script|img|a|iframe|form|svg|style)\b[^>]*(alert|onerror|javascript:)`)
	handled   = regexp.MustCompile(`(?i)<[a-z]+[^>"']*\son[a-z]+\s*=`)
	invisible = regexp.MustCompile("[\u202e\u200b\x00\x1b]")
)

func TestRedteam32_InboxHostileTexts(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	say := strings.ReplaceAll(hostile, "\x00", "\x01") // protobuf's strings hold no NUL of PostgreSQL's
	q := w.hold("one-click", func(r *eventv1.ApprovalRequest) {
		r.Principal.Job, r.Principal.Repository, r.Principal.Ref, r.Principal.Agent, r.Principal.OnBehalfOf = say, say, say, say, say
		r.Principal.Url, r.Principal.Asserted = "javascript:alert(1)", []string{"agent"}
		r.Target, r.Database, r.Environment, r.Verb, r.Class = say, say, say, say, say
		r.Objects = []*eventv1.Object{{Schema: say, Name: say, Access: "write"}}
		r.Statement, r.Parameters, r.Reason, r.RuleDescription, r.Warnings = say+"\n"+say, []string{say, say}, say, say, []string{say}
		r.TraceId, r.SessionId, r.CommandId, r.Requesters = say, say, say, []string{"github:riley", say}
	})
	b := r.signedIn(i, "dana")
	b.sees("/", q.Id)
	check := func(path string) {
		t.Helper()
		page := b.get(path).body
		for name, bad := range map[string]*regexp.Regexp{"markup": opened, "a handler": handled, "an invisible character": invisible} {
			if found := bad.FindString(page); found != "" {
				t.Errorf("%s holds %s: %q", path, name, found)
			}
		}
		if strings.Contains(page, "hx-get=\"/x\"") || strings.Contains(page, "href=\"javascript") || !strings.Contains(html.UnescapeString(page), "‹U+202E›") || !strings.Contains(html.UnescapeString(page), "p‹U+0430›yments") {
			t.Errorf("%s:\n%s", path, page)
		}
	}
	check("/")
	if page := b.get("/").body; !strings.Contains(page, "3 warnings") {
		t.Error("the list does not warn")
	}
	check("/approvals/" + q.Id)
	if page := b.get("/approvals/" + q.Id).body; !strings.Contains(page, "(unverified)") || !strings.Contains(page, "look like others") || !strings.Contains(page, "not visible by themselves") {
		t.Errorf("it does not warn:\n%s", page)
	}
	if a := b.act(q, "deny", "reason", hostile); a.status != http.StatusSeeOther {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	b.sees("/decided", q.Id)
	check("/decided")
	check("/approvals/" + q.Id)
	if page := b.get("/?q=" + url.QueryEscape(hostile)).body; opened.MatchString(page) {
		t.Errorf("the filter comes back as markup:\n%s", page)
	}
}

func TestRedteam32_InboxHeaders(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	b := r.signedIn(i, "dana")
	page := b.sees("/", "Nothing waits")
	asset := regexp.MustCompile(`src="(/assets/app[^"]+)"`).FindStringSubmatch(page.body)[1]
	for _, path := range []string{"/", "/decided", "/grants", "/approvals/apr_00000000000000000000000000", "/signin", asset, "/assets/none"} {
		h := b.get(path).header
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: %q is missing in %q", path, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, h)
		}
		if path != asset && h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept: %q", path, h.Get("Cache-Control"))
		}
	}
	if regexp.MustCompile(`<script>|<style|\sstyle=|\son[a-z]+=`).MatchString(page.body) {
		t.Error("a page has inline scripts or styles")
	}
	if a := b.get("/", "Host", "inbox.evil.example"); a.status != http.StatusForbidden {
		t.Errorf("a rebound name opens the inbox: %d", a.status)
	}
}

func TestRedteam32_InboxForms(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	q := w.hold("one-click")
	dana, kim := r.signedIn(i, "dana"), r.signedIn(i, "kim")
	dana.sees("/", q.Id)
	page := "/approvals/" + q.Id
	own, foreign := dana.token(page), kim.token(page)
	for name, try := range map[string]struct {
		form   url.Values
		header []string
	}{
		"no token":               {url.Values{}, []string{"Origin", dana.base}},
		"another one's token":    {url.Values{"token": {foreign}}, []string{"Origin", dana.base}},
		"another page's form":    {url.Values{"token": {own}}, []string{"Origin", "https://evil.example"}},
		"another port's form":    {url.Values{"token": {own}}, []string{"Origin", "http://127.0.0.1:1"}},
		"a form from elsewhere":  {url.Values{"token": {own}}, []string{"Sec-Fetch-Site", "cross-site"}},
		"a form of a sandbox":    {url.Values{"token": {own}}, []string{"Origin", "null"}},
		"a form that is no form": {url.Values{"token": {own}}, []string{"Origin", dana.base, "Content-Type", "text/plain"}},
	} {
		for _, what := range []string{"approve", "deny", "revoke"} {
			if a := dana.send(http.MethodPost, page+"/"+what, try.form, try.header...); a.status != http.StatusForbidden {
				t.Errorf("%s: %s is answered with %d", name, what, a.status)
			}
		}
	}
	if a := dana.get(page + "/approve?token=" + own); a.status != http.StatusMethodNotAllowed {
		t.Errorf("a link votes: %d", a.status)
	}
	if a := dana.send(http.MethodPost, page+"/approve?token="+own, url.Values{}, "Origin", dana.base); a.status != http.StatusForbidden {
		t.Errorf("a token in an address counts: %d", a.status)
	}
	if a := r.browser().send(http.MethodPost, page+"/approve", url.Values{"token": {own}}); a.status != http.StatusSeeOther || !strings.HasPrefix(a.location(), "/signin") {
		t.Errorf("without a session: %d", a.status)
	}
	w.recorded(q, "requested")
	// Sent twice, it is one vote.
	for range 2 {
		if a := dana.send(http.MethodPost, page+"/approve", url.Values{"token": {own}}, "Origin", dana.base); a.status != http.StatusSeeOther {
			t.Fatalf("got %d %s", a.status, a.body)
		}
	}
	w.recorded(q, "requested", "voted", "decided approved")
	if a := kim.send(http.MethodPost, page+"/deny", url.Values{"token": {foreign}}, "Origin", kim.base); a.status != http.StatusConflict || !strings.Contains(a.body, "This is over") {
		t.Errorf("a vote after the end: %d %s", a.status, a.body)
	}
}

func TestRedteam32_InboxShowsOnlyWhatConcerns(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	q := w.hold("elsewhere", from("riley", "", ""))
	dana := r.signedIn(i, "dana")
	dana.sees("/", q.Id)
	for _, name := range []string{"kim", "mallory"} {
		b := r.signedIn(i, name)
		for _, path := range []string{"/", "/decided", "/grants", "/?q=" + q.Id} {
			if strings.Contains(b.get(path).body, `href="/approvals/`+q.Id) {
				t.Errorf("%s sees it on %s", name, path)
			}
		}
		if a := b.get("/approvals/" + q.Id); a.status != http.StatusNotFound || strings.Contains(a.body, "customers") {
			t.Errorf("%s reads it: %d", name, a.status)
		}
		form := url.Values{"token": {b.token("/")}}
		for _, what := range []string{"approve", "deny", "revoke"} {
			if a := b.send(http.MethodPost, "/approvals/"+q.Id+"/"+what, form, "Origin", b.base); a.status != http.StatusNotFound {
				t.Errorf("%s may %s: %d", name, what, a.status)
			}
		}
	}
	// A requester and an administrator sees it, and cannot approve it.
	riley := r.signedIn(i, "riley")
	page := riley.sees("/approvals/"+q.Id, "You cannot vote on this").body
	if strings.Contains(page, `id="approve"`) {
		t.Error("a requester has a button")
	}
	form := url.Values{"token": {riley.token("/")}}
	if a := riley.send(http.MethodPost, "/approvals/"+q.Id+"/approve", form, "Origin", riley.base); a.status != http.StatusForbidden || !strings.Contains(a.body, "among those who asked") {
		t.Errorf("a requester approves: %d", a.status)
	}
	w.recorded(q, "requested")
}

func TestRedteam32_InboxSignIn(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	for _, to := range []string{
		"https://evil.example/", "//evil.example", `/\evil.example`, "/signin/../../evil", "javascript:alert(1)", "/approvals/apr_1\r\nX: y", "/events", "http:evil.example", "/decided?x=//evil",
	} {
		if got := r.browser().signIn(i, "dana", to); got != "/" {
			t.Errorf("%q leads to %q", to, got)
		}
		b := r.signedIn(i, "dana")
		if got := b.get("/signin?" + url.Values{"return": {to}}.Encode()).location(); got != "/" {
			t.Errorf("signed in, %q leads to %q", to, got)
		}
	}
	b, other := r.browser(), r.browser()
	back := b.authorize(i, b.get("/signin/start").location(), "dana")
	if a := other.get(back); a.status != http.StatusForbidden {
		t.Errorf("an answer is taken in a browser that did not ask: %d", a.status)
	}
	other.get("/signin/start")
	if a := other.get(back); a.status != http.StatusForbidden { // a sign-in slipped under another
		t.Errorf("an answer to another sign-in is taken: %d", a.status)
	}
	if _, err := other.cookie("session"); err == nil {
		t.Error("a refused sign-in makes a session")
	}
	third := r.browser()
	forged, err := url.Parse(third.authorize(i, third.get("/signin/start").location(), "dana"))
	if err != nil {
		t.Fatal(err)
	}
	query := forged.Query()
	query.Set("iss", "https://evil.example")
	forged.RawQuery = query.Encode()
	if a := third.get(forged.String()); a.status != http.StatusForbidden {
		t.Errorf("another provider's answer is taken: %d", a.status)
	}
	if a := b.get(back); a.status != http.StatusSeeOther {
		t.Fatalf("the right browser's is not: %d %s", a.status, a.body)
	}
	if a := b.get(back); a.status != http.StatusForbidden {
		t.Errorf("an answer counts twice: %d", a.status)
	}
}

// No browser can be given a session, and each sign-in makes a new one.
func TestRedteam32_InboxSessionFixation(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	b := r.signedIn(i, "dana")
	first, err := b.cookie("session")
	if err != nil {
		t.Fatal(err)
	}
	if token := b.token("/"); token == "" {
		t.Fatal("no form")
	}
	before := b.token("/")
	b.signIn(i, "dana", "/")
	if second, err := b.cookie("session"); err != nil || second.Value == first.Value || b.token("/") == before {
		t.Errorf("the session outlives a new sign-in: %v", err)
	}
	start := b.get("/signin/start")
	signIn := start.header.Get("Set-Cookie")
	if !strings.Contains(signIn, "HttpOnly") || !strings.Contains(signIn, "SameSite=Lax") || !strings.Contains(signIn, "Path=/") {
		t.Errorf("got %q", signIn)
	}
	sealed := regexp.MustCompile(`=([^;]+)`).FindStringSubmatch(signIn)[1]
	for name, value := range map[string]string{
		"made up": strings.Repeat("A", 200), "cut": first.Value[:len(first.Value)-2], "changed": "A" + first.Value[1:], "of a sign-in": sealed, "empty": "",
	} {
		plain := &browser{t: t, base: b.base, client: plainClient(t)}
		if a := plain.get("/", "Cookie", first.Name+"="+value); a.status != http.StatusSeeOther {
			t.Errorf("a cookie %s opens the inbox: %d", name, a.status)
		}
		for _, both := range []string{value + "; " + first.Name + "=" + first.Value, first.Value + "; " + first.Name + "=" + value} {
			if a := plain.get("/", "Cookie", first.Name+"="+both); a.status != http.StatusSeeOther {
				t.Errorf("beside one %s, another counts: %d", name, a.status)
			}
		}
	}
}

// listen follows a stream and passes on the names of its events.
func (b *browser) listen(ctx context.Context, path string) (int, <-chan string) {
	b.t.Helper()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := b.client.Do(q)
	if err != nil {
		b.t.Fatal(err)
	}
	events := make(chan string, 16)
	go func() {
		defer close(events)
		defer func() { _ = resp.Body.Close() }()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				events <- name
			}
		}
	}()
	return resp.StatusCode, events
}

func next(t *testing.T, events <-chan string) string {
	t.Helper()
	select {
	case name := <-events:
		return name
	case <-time.After(patience):
		t.Fatal("no event in time")
		return ""
	}
}

func TestRedteam32_InboxStream(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	dana, kim := r.signedIn(i, "dana"), r.signedIn(i, "kim")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if status, _ := r.browser().listen(ctx, "/events"); status != http.StatusUnauthorized {
		t.Fatalf("a stream without a session: %d", status)
	}
	for range 16 {
		if status, _ := dana.listen(ctx, "/events"); status != http.StatusOK {
			t.Fatalf("got %d", status)
		}
	}
	if status, _ := dana.listen(ctx, "/events"); status != http.StatusServiceUnavailable {
		t.Fatalf("one person opens any number of streams: %d", status)
	}
	_, seen := kim.listen(ctx, "/events")
	riley := r.signedIn(i, "riley")
	q := w.hold("elsewhere") // dana's, whom kim cannot see asked
	riley.sees("/", q.Id)
	shared := w.hold("one-click")
	kim.sees("/", shared.Id)
	if name := next(t, seen); name != "changed" {
		t.Fatalf("got %q", name)
	}
	_, quiet := kim.listen(ctx, "/events?id="+shared.Id)
	_, hidden := kim.listen(ctx, "/events?id="+q.Id)
	w.cancel(q, "client_gone")
	riley.sees("/decided", q.Id)
	w.cancel(shared, "client_gone")
	if name := next(t, quiet); name != "changed" {
		t.Fatalf("got %q", name)
	}
	if a := kim.send(http.MethodPost, "/signout", url.Values{"token": {kim.token("/")}}, "Origin", kim.base); a.status != http.StatusSeeOther {
		t.Fatalf("got %d", a.status)
	}
	if name := next(t, hidden); name != "end" {
		t.Errorf("kim is told of a change of what is not kim's: %q", name)
	}
	for name := next(t, quiet); name != "end"; name = next(t, quiet) {
		if name != "changed" {
			t.Fatalf("got %q", name)
		}
	}
}
