package run

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// openTestWay opens a way to the fake gateway in this process.
func openTestWay(t *testing.T, g *fakeGateway, tcp bool) *way {
	t.Helper()
	w, err := openWay(t.Context(), g.client(t), &Run{Credential: credential, Connections: 4, ID: "run_01TEST"}, "prod-db", tcp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

func (w *way) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial(w.listener.Addr().Network(), w.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func encoded(t *testing.T, m pgproto3.FrontendMessage) []byte {
	t.Helper()
	out, err := m.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func startup(t *testing.T) []byte {
	return encoded(t, &pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "x", "database": "prod-db"}})
}

// answer reads one message that the proxy or the gateway sends to the child.
func answer(t *testing.T, c net.Conn) pgproto3.BackendMessage {
	t.Helper()
	frame, err := readFrame(c, 1<<20)
	if err != nil {
		return nil
	}
	m, err := fromGateway(frame)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// next skips notices.
func next(t *testing.T, c net.Conn) pgproto3.BackendMessage {
	t.Helper()
	for {
		m := answer(t, c)
		if _, notice := m.(*pgproto3.NoticeResponse); !notice {
			return m
		}
	}
}

func TestRedteam32_LoopbackPortUsedByAnotherProcess(t *testing.T) {
	g := newFakeGateway(t)
	w := openTestWay(t, g, true)
	for _, password := range []string{"", "guess", w.password + "x", w.password[1:], credential, strings.Repeat("x", 900)} {
		c := w.dial(t)
		_, _ = c.Write(startup(t))
		if _, ok := answer(t, c).(*pgproto3.AuthenticationCleartextPassword); !ok {
			t.Fatal("no password demanded")
		}
		_, _ = c.Write(encoded(t, &pgproto3.PasswordMessage{Password: password}))
		e, ok := answer(t, c).(*pgproto3.ErrorResponse)
		if !ok || e.Code != "28P01" || strings.Contains(e.Message+e.Hint, w.password) {
			t.Fatalf("%q: %v", password, e)
		}
	}
	// Anything but a password, or one too long, ends the connection.
	for _, raw := range [][]byte{encoded(t, &pgproto3.Query{String: "select 1"}), {'p', 0xff, 0xff, 0xff, 0xff}, {'p', 0, 0, 0, 3}} {
		c := w.dial(t)
		_, _ = c.Write(startup(t))
		answer(t, c)
		_, _ = c.Write(raw)
		if m, ok := answer(t, c).(*pgproto3.AuthenticationOk); ok {
			t.Fatalf("%v was let in", m)
		}
	}
	if n := len(g.seen().startups); n != 0 {
		t.Fatalf("%d strangers reached the gateway", n)
	}
	c := w.dial(t)
	_, _ = c.Write(startup(t))
	answer(t, c)
	_, _ = c.Write(encoded(t, &pgproto3.PasswordMessage{Password: w.password}))
	if _, ok := next(t, c).(*pgproto3.AuthenticationOk); !ok {
		t.Fatal("the right password was refused")
	}
}

func TestRedteam32_SocketIsPrivate(t *testing.T) {
	g := newFakeGateway(t)
	w := openTestWay(t, g, false)
	for path, want := range map[string]os.FileMode{w.dir: 0o700, filepath.Join(w.dir, ".s.PGSQL.5432"): 0o600, filepath.Join(w.dir, controlSocket): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	other := openTestWay(t, g, false)
	if other.dir == w.dir {
		t.Error("two runs share a folder")
	}
}

func TestRedteam32_NeverWithoutTLS(t *testing.T) {
	for name, breakIt := range map[string]func(*fakeGateway){
		"the gateway says no":      func(g *fakeGateway) { g.answerTLS = 'N' },
		"it answers with an error": func(g *fakeGateway) { g.answerTLS = 'E' },
		"another name":             func(g *fakeGateway) { g.cert, g.ca = certificate(t, "gateway.acme.example") },
		"another CA":               func(g *fakeGateway) { _, g.ca = certificate(t, "127.0.0.1") },
	} {
		t.Run(name, func(t *testing.T) {
			g := newFakeGateway(t)
			breakIt(g)
			w := openTestWay(t, g, false)
			c := w.dial(t)
			_, _ = c.Write(startup(t))
			e, ok := answer(t, c).(*pgproto3.ErrorResponse)
			if !ok || e.Code != "08006" || e.Hint == "" {
				t.Fatalf("%v", e)
			}
			if len(g.seen().passwords) > 0 || len(g.seen().startups) > 0 {
				t.Fatal("something was sent")
			}
		})
	}
}

func TestRedteam30_GatewayThatWantsSomethingElse(t *testing.T) {
	for name, login := range map[string][]pgproto3.BackendMessage{
		"MD5":                 {&pgproto3.AuthenticationMD5Password{Salt: [4]byte{1, 2, 3, 4}}},
		"SASL":                {&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}}},
		"GSS":                 {&pgproto3.AuthenticationGSS{}},
		"the password twice":  {&pgproto3.AuthenticationCleartextPassword{}, &pgproto3.AuthenticationCleartextPassword{}},
		"data before the end": {&pgproto3.AuthenticationCleartextPassword{}, &pgproto3.ParameterStatus{Name: "a", Value: "b"}},
		"too much":            {&pgproto3.NoticeResponse{Message: strings.Repeat("x", maxEarly)}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newFakeGateway(t)
			g.login = login
			w := openTestWay(t, g, false)
			c := w.dial(t)
			_, _ = c.Write(startup(t))
			if e, ok := next(t, c).(*pgproto3.ErrorResponse); !ok || strings.Contains(e.Message, credential) {
				t.Fatalf("the command got %v", e)
			}
			if len(g.seen().passwords) > 1 {
				t.Fatal("the credential was sent again")
			}
		})
	}
}

func TestRedteam30_RefusalReachesTheChild(t *testing.T) {
	g := newFakeGateway(t)
	g.refuse = &pgproto3.ErrorResponse{Severity: "FATAL", Code: "28000", Message: "GS1109: the credential is used up", Hint: "wait"}
	w := openTestWay(t, g, false)
	c := w.dial(t)
	_, _ = c.Write(startup(t))
	e, ok := next(t, c).(*pgproto3.ErrorResponse)
	if !ok || e.Message != "GS1109: the credential is used up" || e.Hint != "wait" {
		t.Fatalf("%v", e)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("the connection stays open: %v", err)
	}
}

func TestRedteam11_StartupPackets(t *testing.T) {
	g := newFakeGateway(t)
	w := openTestWay(t, g, false)
	packet := func(n uint32, rest ...byte) []byte { return append(binary.BigEndian.AppendUint32(nil, n), rest...) }
	ssl, gss := encoded(t, &pgproto3.SSLRequest{}), encoded(t, &pgproto3.GSSEncRequest{})
	for name, raw := range map[string][]byte{
		"length zero": packet(0, 0, 3, 0, 0), "below the header": packet(7, 0, 3, 0, 0), "negative": packet(1<<31, 0, 3, 0, 0), "huge": packet(maxStartup+1, 0, 3, 0, 0),
		"protocol 2": packet(8, 0, 2, 0, 0), "protocol 4": packet(8, 0, 4, 0, 0), "again and again": append(append(append(ssl, gss...), ssl...), ssl...),
	} {
		t.Run(name, func(t *testing.T) {
			c := w.dial(t)
			_, _ = c.Write(raw)
			rest, _ := io.ReadAll(c)
			if strings.Contains(string(rest), "R\x00\x00\x00") {
				t.Fatalf("let in: %q", rest)
			}
		})
	}
	if len(g.seen().startups) != 0 {
		t.Fatal("a broken packet reached the gateway")
	}
	// Half a packet, and an end.
	c := w.dial(t)
	_, _ = c.Write(startup(t)[:9])
	_ = c.Close()

	// Encryption asked for both ways, then the packet, then queries behind it in
	// one write: nothing is lost.
	c = w.dial(t)
	_, _ = c.Write(append(append([]byte{}, gss...), ssl...))
	var no [2]byte
	if _, err := io.ReadFull(c, no[:]); err != nil || string(no[:]) != "NN" {
		t.Fatalf("%q %v", no, err)
	}
	_, _ = c.Write(append(startup(t), encoded(t, &pgproto3.Query{String: "select 1"})...))
	for {
		m := next(t, c)
		if row, ok := m.(*pgproto3.DataRow); ok {
			if string(row.Values[0]) != "select 1" {
				t.Fatalf("%q", row.Values)
			}
			break
		}
		if m == nil {
			t.Fatal("the query behind the start-up packet was lost")
		}
	}
}

func TestProxy_NoticesBeforeTheLogin(t *testing.T) {
	g := newFakeGateway(t)
	g.login = []pgproto3.BackendMessage{&pgproto3.NoticeResponse{Severity: "NOTICE", Message: "welcome"}, &pgproto3.AuthenticationCleartextPassword{}}
	w := openTestWay(t, g, false)
	c := w.dial(t)
	_, _ = c.Write(startup(t))
	// libpq takes a notice after AuthenticationOk only.
	if m := answer(t, c); m == nil {
		t.Fatal("refused")
	} else if _, ok := m.(*pgproto3.AuthenticationOk); !ok {
		t.Fatalf("first came %T", m)
	}
	if n, ok := answer(t, c).(*pgproto3.NoticeResponse); !ok || n.Message != "welcome" {
		t.Fatalf("then %v", n)
	}
}

// A gateway may ask for the token in PostgreSQL 18's way: the child need not
// know how to give it.
func TestProxy_GatewayAsksForABearerToken(t *testing.T) {
	g := newFakeGateway(t)
	g.login = []pgproto3.BackendMessage{&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"OAUTHBEARER"}}}
	w := openTestWay(t, g, false)
	c := w.dial(t)
	_, _ = c.Write(startup(t))
	if m, ok := answer(t, c).(*pgproto3.AuthenticationOk); !ok {
		t.Fatalf("%v", m)
	}
	if got := g.seen().passwords; len(got) != 1 || got[0] != "n,,\x01auth=Bearer "+credential+"\x01\x01" {
		t.Fatalf("the gateway got %q", got)
	}
	g.refuse = &pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: "GS1109: the credential is used up"}
	c = w.dial(t)
	_, _ = c.Write(startup(t))
	if e, ok := next(t, c).(*pgproto3.ErrorResponse); !ok || e.Message != g.refuse.Message {
		t.Fatalf("%v", e)
	}
}

func TestProxy_HalfClose(t *testing.T) {
	g := newFakeGateway(t)
	w := openTestWay(t, g, false)
	c := w.dial(t)
	_, _ = c.Write(startup(t))
	for {
		if _, ready := next(t, c).(*pgproto3.ReadyForQuery); ready {
			break
		}
	}
	// The child says all it has to say; the answer still comes, whole.
	_, _ = c.Write(encoded(t, &pgproto3.Query{String: "big"}))
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil || len(all) < 8<<20 {
		t.Fatalf("%d bytes, %v", len(all), err)
	}
	// The gateway ends the session: the child sees what was said, and the end.
	c = w.dial(t)
	_, _ = c.Write(startup(t))
	_, _ = c.Write(encoded(t, &pgproto3.Query{String: "last words"}))
	if all, err := io.ReadAll(c); err != nil || !strings.Contains(string(all), "last words") {
		t.Fatalf("%d bytes, %v", len(all), err)
	}
}

func TestProxy_EndsWithTheRun(t *testing.T) {
	g := newFakeGateway(t)
	w, err := openWay(t.Context(), g.client(t), &Run{Credential: credential, Connections: 1, ID: "run_01TEST"}, "prod-db", false)
	if err != nil {
		t.Fatal(err)
	}
	// A process that the command left behind still holds a session.
	c := w.dial(t)
	_, _ = c.Write(startup(t))
	for {
		if _, ready := next(t, c).(*pgproto3.ReadyForQuery); ready {
			break
		}
	}
	began := time.Now()
	w.close()
	if took := time.Since(began); took > 2*grace {
		t.Fatalf("took %v", took)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Fatalf("not ended: %v", err)
	}
	if _, err := os.Stat(w.dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("left behind: %v", err)
	}
}

func TestControl_OnlyCan(t *testing.T) {
	g := newFakeGateway(t)
	w := openTestWay(t, g, false)
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(w.dir, controlSocket))
		},
		DisableKeepAlives: true,
	}}
	call := func(method, path string) (int, string) {
		req, _ := http.NewRequestWithContext(t.Context(), method, "http://run"+path, nil)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		raw, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(raw)
	}
	if status, body := call("GET", "/v1/can"); status != 200 || !strings.Contains(body, `"target":"prod-db"`) || strings.Contains(body, credential) {
		t.Fatalf("%d %s", status, body)
	}
	for _, path := range []string{"/v1/exchange", "/v1/runs/end"} {
		if status, _ := call("POST", path); status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", path, status)
		}
	}
	g.apiHandler = func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusForbidden)
		_, _ = rw.Write([]byte(`{"code":"GS1108","message":"no rule","hint":"ask"}`))
	}
	if status, body := call("GET", "/v1/can?target=other"); status != http.StatusForbidden || !strings.Contains(body, "GS1108") {
		t.Fatalf("%d %s", status, body)
	}
}

func FuzzReadStartup(f *testing.F) {
	f.Add([]byte{0, 0, 0, 8, 4, 210, 22, 47})
	f.Add([]byte{0, 0, 0, 9, 0, 3, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		frame, code, err := readStartup(strings.NewReader(string(raw)))
		if err == nil && (len(frame) > len(raw) || string(frame) != string(raw[:len(frame)]) || binary.BigEndian.Uint32(frame[4:]) != code) {
			t.Fatalf("%q became %q", raw, frame)
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 0})
	f.Add([]byte{'E', 0, 0, 0, 5, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := strings.NewReader(string(raw))
		frame, err := readFrame(r, maxEarly)
		if err != nil {
			return
		}
		if string(frame) != string(raw[:len(frame)]) || r.Len() != len(raw)-len(frame) {
			t.Fatalf("%q became %q, %d left", raw, frame, r.Len())
		}
		_, _ = fromGateway(frame)
		_, _ = passwordOf(frame)
	})
}
