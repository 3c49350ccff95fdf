package postgres_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

const issuer = "https://login.example.com/realms/ci"

func asksBearer(o *postgres.Options) {
	o.Bearer, o.Discovery = true, postgres.Discovery{Issuer: issuer + "/"}
}

// saslStart sends a start-up packet and returns the connection once a token is
// asked for.
func saslStart(t testing.TB, g *gateway, settings ...string) *pgproto3.Frontend {
	t.Helper()
	s := g.secure(t)
	write(t, s, startup(append([]string{"user\x00job", "database\x00prod-db"}, settings...)...))
	f := pgproto3.NewFrontend(s, s)
	m, err := f.Receive()
	if err != nil {
		t.Fatal(err)
	}
	if sasl, ok := m.(*pgproto3.AuthenticationSASL); !ok || strings.Join(sasl.AuthMechanisms, ",") != "OAUTHBEARER" {
		t.Fatalf("%#v", m)
	}
	return f
}

func send(t testing.TB, f *pgproto3.Frontend, m pgproto3.FrontendMessage) pgproto3.BackendMessage {
	t.Helper()
	f.Send(m)
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	got, err := f.Receive()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func token(data string) *pgproto3.SASLInitialResponse {
	return &pgproto3.SASLInitialResponse{AuthMechanism: "OAUTHBEARER", Data: []byte(data)}
}

// TestWhatAClientIsAskedFor: the password, unless the listener or the client
// says otherwise.
func TestWhatAClientIsAskedFor(t *testing.T) {
	const password, sasl = "AuthenticationCleartextPassword", "AuthenticationSASL"
	old, modern := start(t, &seamtest.Gate{}), start(t, &seamtest.Gate{}, asksBearer)
	for name, c := range map[string]struct {
		g       *gateway
		setting string
		want    string
	}{
		"by default":              {old, "", password},
		"by the listener":         {modern, "", sasl},
		"by choice, in options":   {old, "options\x00-c gatestay.auth=oauthbearer", sasl},
		"by choice, by name":      {old, "gatestay.auth\x00oauthbearer", sasl},
		"the password, by choice": {modern, "options\x00--gatestay.auth=password", password},
		"something else":          {old, "options\x00-c gatestay.auth=trust", "error GS1501"},
		"nothing":                 {modern, "gatestay.auth\x00", "error GS1501"},
		"scram":                   {modern, "options\x00-c gatestay.auth=scram-sha-256", "error GS1501"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := []string{"user\x00job", "database\x00prod-db"}
			if c.setting != "" {
				settings = append(settings, c.setting)
			}
			if got := say(c.g.begin(t, startup(settings...))); got != c.want {
				t.Errorf("asked for %s, not %s", got, c.want)
			}
		})
	}
}

func TestBearer(t *testing.T) {
	g := start(t, &seamtest.Gate{}, asksBearer)
	for name, data := range map[string]string{
		"as pgx and libpq write it": "n,,\x01auth=Bearer " + seamtest.Secret + "\x01\x01",
		"a client that could bind":  "y,,\x01auth=bearer   " + seamtest.Secret + "\x01\x01",
		"fields beside it":          "n,,\x01host=db.example\x01port=5432\x01auth=Bearer " + seamtest.Secret + "\x01\x01",
	} {
		t.Run(name, func(t *testing.T) {
			if got := say(send(t, saslStart(t, g), token(data))); got != "AuthenticationOk" {
				t.Error(got)
			}
		})
	}
	t.Run("pgx", func(t *testing.T) {
		for _, secret := range []string{seamtest.Secret, "wrong"} {
			c := g.config(t)
			c.Password = ""
			c.OAuthTokenProvider = func(context.Context) (string, error) { return secret, nil }
			conn, err := pgconn.ConnectConfig(t.Context(), c)
			if (err == nil) != (secret == seamtest.Secret) {
				t.Errorf("%s: %v", secret, err)
			}
			if err == nil {
				_ = conn.Close(t.Context())
			}
		}
	})
}

// TestRedteam11_BearerMessages sends what is no answer to a request for a
// token: none opens a session, each gets an error, none a second try.
func TestRedteam11_BearerMessages(t *testing.T) {
	g := start(t, &seamtest.Gate{}, asksBearer)
	ok := "n,,\x01auth=Bearer " + seamtest.Secret + "\x01\x01"
	for name, m := range map[string]pgproto3.FrontendMessage{
		"another mechanism":            &pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte(ok)},
		"a mechanism, in small":        &pgproto3.SASLInitialResponse{AuthMechanism: "oauthbearer", Data: []byte(ok)},
		"a password":                   &pgproto3.PasswordMessage{Password: seamtest.Secret},
		"a query":                      &pgproto3.Query{String: "SELECT 1"},
		"nothing":                      token(""),
		"acting for somebody":          token("n,a=admin,\x01auth=Bearer " + seamtest.Secret + "\x01\x01"),
		"bound to a channel":           token("p=tls-server-end-point,,\x01auth=Bearer " + seamtest.Secret + "\x01\x01"),
		"no header":                    token("\x01auth=Bearer " + seamtest.Secret + "\x01\x01"),
		"no end":                       token("n,,\x01auth=Bearer " + seamtest.Secret + "\x01"),
		"more after the end":           token(ok + "x"),
		"a second message behind":      token(ok + ok),
		"no token field":               token("n,,\x01host=x\x01\x01"),
		"no fields":                    token("n,,\x01\x01"),
		"two tokens":                   token("n,,\x01auth=Bearer x\x01auth=Bearer " + seamtest.Secret + "\x01\x01"),
		"an empty token, then another": token("n,,\x01auth=\x01auth=Bearer " + seamtest.Secret + "\x01\x01"),
		"a field without a value":      token("n,,\x01host\x01auth=Bearer " + seamtest.Secret + "\x01\x01"),
		"a field without a name":       token("n,,\x01=x\x01auth=Bearer " + seamtest.Secret + "\x01\x01"),
		"another scheme":               token("n,,\x01auth=Basic " + seamtest.Secret + "\x01\x01"),
		"no scheme":                    token("n,,\x01auth=" + seamtest.Secret + "\x01\x01"),
		"a scheme alone":               token("n,,\x01auth=Bearer \x01\x01"),
		"a space inside":               token("n,,\x01auth=Bearer open sesame\x01\x01"),
		"a zero byte inside":           token("n,,\x01auth=Bearer open-sesame\x00\x01\x01"),
		"letters of elsewhere":         token("n,,\x01auth=Bearer öpen-sesame\x01\x01"),
		"a line end":                   token("n,,\x01auth=Bearer open-sesame\n\x01\x01"),
	} {
		t.Run(name, func(t *testing.T) {
			got := send(t, saslStart(t, g), m)
			e, isError := got.(*pgproto3.ErrorResponse)
			if !isError || e.Severity != "FATAL" || !strings.HasPrefix(e.Message, "GS1502") {
				t.Errorf("%#v", got)
			}
		})
	}
	t.Run("lengths", func(t *testing.T) {
		for _, length := range []int32{-1, -2, 1 << 30, 3} {
			body := binary.BigEndian.AppendUint32([]byte("OAUTHBEARER\x00"), uint32(length))
			s := g.secure(t)
			write(t, s, startup("user\x00job", "database\x00prod-db"))
			_ = answer(t, s)
			write(t, s, append(binary.BigEndian.AppendUint32([]byte{'p'}, uint32(4+len(body))), body...))
			if got := answer(t, s); got != "error GS1502" {
				t.Errorf("length %d: %s", length, got)
			}
		}
	})
	if n := len(g.Sessions()); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

// TestBearerChallenge: a client without a token, or with a bad one, is told in
// the mechanism's words where to get another; then the refusal follows, whether
// it answers or not.
func TestBearerChallenge(t *testing.T) {
	full := `{"status":"invalid_token","openid-configuration":"` + issuer + `/.well-known/openid-configuration","scope":"openid"}`
	told, silent := start(t, &seamtest.Gate{}, asksBearer), start(t, &seamtest.Gate{}, func(o *postgres.Options) { o.Bearer = true })
	odd := start(t, &seamtest.Gate{}, func(o *postgres.Options) {
		o.Bearer, o.Discovery = true, postgres.Discovery{Issuer: "https://x.example", Scope: `a "quoted" scope`}
	})
	for name, c := range map[string]struct {
		g    *gateway
		data string
		want string
	}{
		"no token":                {told, "n,,\x01auth=\x01\x01", full},
		"a bad token":             {told, "n,,\x01auth=Bearer wrong\x01\x01", full},
		"nowhere to go":           {silent, "n,,\x01auth=\x01\x01", `{"status":"invalid_token"}`},
		"a scope of the operator": {odd, "n,,\x01auth=\x01\x01", `{"status":"invalid_token","openid-configuration":"https://x.example/.well-known/openid-configuration","scope":"a \"quoted\" scope"}`},
	} {
		for _, reply := range []string{"\x01", "", "garbage"} {
			t.Run(name+" "+reply, func(t *testing.T) {
				f := saslStart(t, c.g)
				got := send(t, f, token(c.data))
				words, ok := got.(*pgproto3.AuthenticationSASLContinue)
				if !ok || string(words.Data) != c.want || !json.Valid(words.Data) {
					t.Fatalf("%#v", got)
				}
				if got := say(send(t, f, &pgproto3.SASLResponse{Data: []byte(reply)})); got != "error GS1101" {
					t.Error(got)
				}
			})
		}
	}
	t.Run("a refusal that no token helps", func(t *testing.T) {
		gate := &refusing{Gate: &seamtest.Gate{}, cause: &refusal.Refusal{Code: refusal.TargetUnknown, Message: "no such target"}}
		g := start(t, gate.Gate, asksBearer, func(o *postgres.Options) { o.Gate = gate })
		if got := say(send(t, saslStart(t, g), token("n,,\x01auth=Bearer x\x01\x01"))); got != "error GS1107" {
			t.Error(got)
		}
	})
	if n := len(told.Sessions()); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

// TestLibpq18Bearer is libpq 18 itself, with a token from elsewhere: it first
// asks where to get one, and comes again.
func TestLibpq18Bearer(t *testing.T) {
	program := filepath.Join(t.TempDir(), "oauth_client")
	if out, err := tool(t, []string{"PATH=/usr/bin:/bin"}, "", "cc", "-o", program, "testdata/oauth_client.c", "-ldl"); err != nil {
		t.Fatal(err, out)
	}
	g := start(t, &seamtest.Gate{}, asksBearer)
	password := start(t, &seamtest.Gate{})
	for name, c := range map[string]struct {
		g             *gateway
		conninfo, tok string
		want          []string
	}{
		"a token": {g, "oauth_issuer=" + issuer + " oauth_client_id=ci", seamtest.Secret, []string{"document " + issuer + "/.well-known/openid-configuration scope openid", "row"}},
		"by choice": {
			password, "oauth_issuer=" + issuer + "/.well-known/openid-configuration oauth_client_id=ci options='-c gatestay.auth=oauthbearer'", seamtest.Secret,
			[]string{"document " + issuer + "/.well-known/openid-configuration", "row"},
		},
		"3.2 and direct TLS": {g, "oauth_issuer=" + issuer + " oauth_client_id=ci sslnegotiation=direct max_protocol_version=3.2 require_auth=oauth", seamtest.Secret, []string{"row"}},
		"a bad token":        {g, "oauth_issuer=" + issuer + " oauth_client_id=ci", "wrong", []string{"error", "GS1101"}},
		"another issuer":     {g, "oauth_issuer=https://evil.example oauth_client_id=ci", seamtest.Secret, []string{"error", "is incompatible with oauth_issuer"}},
		"only oauth, please": {password, "oauth_issuer=" + issuer + " oauth_client_id=ci require_auth=oauth", seamtest.Secret, []string{"error"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := append(c.g.environment(t), "LD_LIBRARY_PATH="+target.Libraries, "TOKEN="+c.tok)
			out, _ := tool(t, env, "", program, filepath.Join(target.Libraries, "libpq.so.5"), c.conninfo)
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("no %q in:\n%s", w, out)
				}
			}
		})
	}
}
