package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

const long = `Print the OIDC token of this CI job, and nothing else, to standard output.

Where the token comes from, in this order:
  --file PATH                      a file, e.g. one that Kubernetes projects
  GATESTAY_ID_TOKEN                GitLab CI: declare it under id_tokens with aud: gatestay
  ACTIONS_ID_TOKEN_REQUEST_URL     GitHub Actions: needs permissions: id-token: write
  the local issuer                 beside a running gatestay dev, or with --dev

'gatestay run' does this by itself. You need 'gatestay token' where a client takes
the token as its password: one token opens one connection, and works once.

With --dev the local issuer makes a token with the claims of a GitHub Actions job
(--preset gitlab-ci for one of GitLab CI). --claim sets any of them; exp, nbf and
iat are seconds. --job-env prints the two variables of a GitHub job instead, so
that the whole way can be tried on this machine:

  eval "$(gatestay token --dev --job-env)" && gatestay run prod-db -- psql`

const example = `  PGPASSWORD=$(gatestay token) psql "host=gateway.acme.example dbname=prod-db sslmode=verify-full"
  gatestay token --dev --claim environment=production --claim agent=claude`

type flags struct {
	audience, file, preset string
	claims                 []string
	dev, jobEnv            bool
}

// Command returns 'gatestay token'.
func Command(env *cli.Env) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use: "token", Short: "Print the OIDC token of this job", Long: long, Example: example, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context(), env) },
	}
	c.Flags().StringVar(&f.audience, "audience", DefaultAudience, "audience to ask for")
	c.Flags().StringVar(&f.file, "file", "", "read the token from this file")
	c.Flags().BoolVar(&f.dev, "dev", false, "ask the local issuer of gatestay dev")
	c.Flags().StringVar(&f.preset, "preset", "", "with --dev: github-actions (default), gitlab-ci or generic")
	c.Flags().StringArrayVar(&f.claims, "claim", nil, "with --dev: set a claim, name=value; repeatable")
	c.Flags().BoolVar(&f.jobEnv, "job-env", false, "with --dev: print a GitHub job's two variables instead of a token")
	c.MarkFlagsMutuallyExclusive("file", "dev")
	return c
}

func (f *flags) run(ctx context.Context, env *cli.Env) error {
	if !f.dev && (f.preset != "" || len(f.claims) > 0 || f.jobEnv) {
		return errors.New("token: --preset, --claim and --job-env need --dev: a real CI system decides its claims itself")
	}
	if !f.dev {
		found, err := Find(ctx, env, Options{Audience: f.audience, File: f.file})
		if err != nil {
			return err
		}
		return f.print(env, found)
	}
	claims, err := parseClaims(f.claims)
	if err != nil {
		return err
	}
	if f.jobEnv {
		return printJob(ctx, env, MintRequest{Preset: f.preset, Claims: claims})
	}
	t, err := Mint(ctx, env, MintRequest{Preset: f.preset, Audience: f.audience, Claims: claims})
	if err != nil {
		return err
	}
	return f.print(env, &Found{Value: t, Source: "the local issuer of gatestay dev", Fresh: true})
}

func parseClaims(list []string) (map[string]any, error) {
	claims := map[string]any{}
	for _, c := range list {
		name, value, ok := strings.Cut(c, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("token: --claim %q: write name=value", c)
		}
		switch name {
		case "exp", "nbf", "iat":
			if !json.Valid([]byte(value)) {
				return nil, fmt.Errorf("token: --claim %s: write seconds since 1970", name)
			}
			claims[name] = json.Number(value)
		default:
			claims[name] = value
		}
	}
	return claims, nil
}

func printJob(ctx context.Context, env *cli.Env, r MintRequest) error {
	var job struct {
		URL   string `json:"request_url"`
		Token string `json:"request_token"`
	}
	if err := AskIssuer(ctx, env, "/job", r, &job); err != nil {
		return err
	}
	_, err := fmt.Fprintf(env.Stdout, "export %s='%s'\nexport %s='%s'\n", gitHubURL, job.URL, gitHubToken, job.Token)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	return nil
}

// print writes the token to standard output; to a terminal it says on standard
// error what it is.
func (f *flags) print(env *cli.Env, t *Found) error {
	if env.JSON() {
		return env.PrintJSON(map[string]string{"token": t.Value, "source": t.Source}) //nolint:wrapcheck // cli's own words
	}
	if out, ok := env.Stdout.(*os.File); ok && term.IsTerminal(int(out.Fd())) {
		fmt.Fprintln(env.Stderr, explain(t, time.Now()))
	}
	if _, err := fmt.Fprintln(env.Stdout, t.Value); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	return nil
}

// explain says in two lines what a token is. It reads the claims without
// verifying them: that is the gateway's business.
func explain(t *Found, now time.Time) string {
	var c struct {
		Issuer  string      `json:"iss"`
		Subject string      `json:"sub"`
		Expiry  json.Number `json:"exp"`
	}
	if payload, err := base64.RawURLEncoding.DecodeString(strings.Split(t.Value, ".")[1]); err == nil {
		_ = json.Unmarshal(payload, &c)
	}
	life := ""
	if seconds, err := c.Expiry.Int64(); err == nil {
		life = fmt.Sprintf(", valid for %s", time.Unix(seconds, 0).Sub(now).Round(time.Second))
	}
	return fmt.Sprintf("A token from %s: %q by %q%s.\nIt opens one connection, as the password, and works once. Keep it to yourself.", t.Source, c.Subject, c.Issuer, life)
}
