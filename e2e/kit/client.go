package kit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Claims change what the local issuer puts into a job's token: nil removes one.
type Claims = map[string]any

// Importer is a job that may write without anyone's click.
var Importer = Claims{"repository": "acme/importer", "repository_id": "1002"}

// Token returns a fresh token of a job: acme/shop's deploy job started by kim,
// but for what claims change.
func (g *Gatestay) Token(t testing.TB, claims Claims) string {
	t.Helper()
	token, err := g.Issuer.Mint("github-actions", claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Client is a connection through the gateway that remembers its notices.
type Client struct {
	*pgx.Conn
	mu      sync.Mutex
	notices []*pgconn.Notice
}

// Connect signs a job in at Target. The connection ends with the test.
func (g *Gatestay) Connect(t testing.TB, claims Claims) *Client {
	t.Helper()
	c, err := g.Dial(t.Context(), Target, g.Token(t, claims), nil)
	if err != nil {
		t.Fatalf("connect: %v\n%s", err, g.LogTail(Gateway, 20))
	}
	t.Cleanup(func() { c.Hang() })
	return c
}

// Dial connects to the gateway with verified TLS. change may alter the
// configuration; nil leaves it.
func (g *Gatestay) Dial(ctx context.Context, database, password string, change func(*pgx.ConnConfig)) (*Client, error) {
	roots, err := g.Roots()
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig("host=127.0.0.1 user=job sslmode=disable connect_timeout=10")
	if err != nil {
		return nil, fmt.Errorf("kit: %w", err)
	}
	host, port, _ := strings.Cut(g.Postgres, ":")
	_, _ = fmt.Sscanf(port, "%d", &config.Port)
	config.Host, config.Database, config.Password = host, database, password
	config.TLSConfig = &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}
	c := &Client{}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.notices = append(c.notices, n)
	}
	if change != nil {
		change(config)
	}
	if c.Conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return nil, err //nolint:wrapcheck // tests read the server's own error from it
	}
	return c, nil
}

// Roots returns the authority that signed the gateway's certificate.
func (g *Gatestay) Roots() (*x509.CertPool, error) {
	pem, err := os.ReadFile(g.CA)
	if err != nil {
		return nil, fmt.Errorf("kit: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return roots, nil
}

// Hang closes the connection without a farewell, as a killed client does.
func (c *Client) Hang() { _ = c.PgConn().Conn().Close() }

// Notices returns the messages of the notices so far.
func (c *Client) Notices() []pgconn.Notice {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]pgconn.Notice, len(c.notices))
	for i, n := range c.notices {
		out[i] = *n
	}
	return out
}

// AwaitNotice waits for a notice that contains the text anywhere.
func (c *Client) AwaitNotice(t testing.TB, text string) pgconn.Notice {
	t.Helper()
	var found pgconn.Notice
	Eventually(t, patience, func() error {
		for _, n := range c.Notices() {
			if strings.Contains(n.Message+"\n"+n.Detail+"\n"+n.Hint, text) {
				found = n
				return nil
			}
		}
		return fmt.Errorf("no notice contains %q among %d", text, len(c.Notices()))
	})
	return found
}

// Running is a statement on its way: held, perhaps.
type Running struct {
	done chan struct{}
	tag  pgconn.CommandTag
	err  error
	stop context.CancelFunc
}

// Go executes a statement in the background.
func (c *Client) Go(t testing.TB, sql string, arguments ...any) *Running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &Running{done: make(chan struct{}), stop: cancel}
	go func() {
		defer close(r.done)
		r.tag, r.err = c.Exec(ctx, sql, arguments...)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
	})
	return r
}

// Wait returns how the statement ended.
func (r *Running) Wait(t testing.TB) (pgconn.CommandTag, error) {
	t.Helper()
	select {
	case <-r.done:
		return r.tag, r.err
	case <-time.After(patience):
		t.Fatalf("the statement has not ended within %s", patience)
		return pgconn.CommandTag{}, nil
	}
}

// Done is closed when the statement has ended.
func (r *Running) Done() <-chan struct{} { return r.done }

// Refused fails the test unless err is the gateway's refusal with the code, and
// returns it. The code is looked for in all that a client is shown.
func Refused(t testing.TB, err error, code string) *pgconn.PgError {
	t.Helper()
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) {
		t.Fatalf("got %v, want the gateway's refusal %s", err, code)
	}
	if shown := strings.Join([]string{refusal.Code, refusal.Message, refusal.Detail, refusal.Hint}, "\n"); !strings.Contains(shown, code) {
		t.Fatalf("refused with\n%s\nwant %s", shown, code)
	}
	return refusal
}

// Environment tells the command line where this Gatestay is.
func (g *Gatestay) Environment() []string {
	return []string{
		"GATESTAY_GATEWAY=" + g.API, "GATESTAY_POSTGRES=" + g.Postgres, "GATESTAY_CA=" + g.CA,
		"GATESTAY_APPROVALS=" + g.Health(Approval), "GATESTAY_CONSOLE=" + g.Health(Archival), "GATESTAY_ISSUER=" + g.Issuer.URL(),
		"GATESTAY_DIR=" + g.path("nowhere"),
	}
}
