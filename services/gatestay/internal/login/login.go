// Package login is 'gatestay login' and 'gatestay logout': it signs people in
// at their OIDC provider and keeps the ID token for the other commands.
package login

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/oauth2"

	"github.com/gatestay/gatestay/libs/localissuer"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/token"
)

// DefaultClientID is the client id of this command line at the provider.
const DefaultClientID = "gatestay-cli"

const long = `Sign in as a person, for all that people do from a terminal: approvals, audits,
policies. Jobs and agents do not sign in; they have tokens of their own.

By default a browser opens the provider's page and comes back to this terminal
(authorization code flow with PKCE, on a loopback port). With --device the page
can be opened on another machine: it asks for a short code.

The provider is GATESTAY_ISSUER or --issuer (client id GATESTAY_CLIENT_ID or
--client-id), or the local issuer of a running gatestay dev. It must know the
client as a public one (no secret) with loopback redirects.

The ID token is kept in gatestay/credentials.json in your configuration folder
(mode 0600), by issuer (and, beside gatestay dev, by its folder), until it expires or you run 'gatestay logout'.`

const example = `  gatestay login
  gatestay login --device
  gatestay login --issuer https://id.acme.example --client-id gatestay-cli
  gatestay login --as dana        # beside gatestay dev: no page, for demos and tests`

type flags struct {
	issuer, clientID, ca, as string
	device, noBrowser        bool
}

// Command returns 'gatestay login'.
func Command(env *cli.Env) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use: "login", Short: "Sign in as a person", Long: long, Example: example, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context(), env) },
	}
	c.Flags().StringVar(&f.issuer, "issuer", "", "the provider's URL (GATESTAY_ISSUER)")
	c.Flags().StringVar(&f.clientID, "client-id", "", "client id at the provider (GATESTAY_CLIENT_ID; default "+DefaultClientID+")")
	c.Flags().StringVar(&f.ca, "ca", "", "PEM file of the provider's CA, where it is a private one")
	c.Flags().BoolVar(&f.device, "device", false, "sign in with a code on another device")
	c.Flags().BoolVar(&f.noBrowser, "no-browser", false, "print the URL, open nothing")
	c.Flags().StringVar(&f.as, "as", "", "sign in as this person of the local issuer, without a page")
	c.MarkFlagsMutuallyExclusive("as", "device")
	c.MarkFlagsMutuallyExclusive("as", "issuer")
	return c
}

// Logout returns 'gatestay logout'.
func Logout(env *cli.Env) *cobra.Command {
	var issuer string
	var all bool
	c := &cobra.Command{
		Use: "logout", Short: "Forget a sign-in", Args: cobra.NoArgs,
		Long: "Forget the ID token of this deployment's provider, or with --all of every one.\nThe token itself stays valid until it expires; nothing else holds a copy.",
		RunE: func(*cobra.Command, []string) error { return logout(env, issuer, all) },
	}
	c.Flags().StringVar(&issuer, "issuer", "", "the provider's URL (GATESTAY_ISSUER)")
	c.Flags().BoolVar(&all, "all", false, "forget the sign-ins at all providers")
	return c
}

func logout(env *cli.Env, issuer string, all bool) error {
	s, err := openStore(env)
	if err != nil {
		return err
	}
	if all {
		return s.update(func(m map[string]credential) { clear(m) })
	}
	if issuer, err = issuerOf(env, issuer); err != nil {
		return err
	}
	return s.update(func(m map[string]credential) { delete(m, keyOf(env, issuer)) })
}

func (f *flags) run(ctx context.Context, env *cli.Env) error {
	issuer, err := issuerOf(env, f.issuer)
	if err != nil {
		return err
	}
	if f.clientID == "" {
		if f.clientID = env.Getenv("GATESTAY_CLIENT_ID"); f.clientID == "" {
			f.clientID = DefaultClientID
		}
	}
	p, err := newProvider(ctx, issuer, f.clientID, f.ca)
	if err != nil {
		return err
	}
	c, err := f.signIn(ctx, env, p)
	if err != nil {
		return err
	}
	s, err := openStore(env)
	if err != nil {
		return err
	}
	if err := s.update(func(m map[string]credential) { m[keyOf(env, issuer)] = c }); err != nil {
		return err
	}
	if env.JSON() {
		return env.PrintJSON(map[string]any{"issuer": issuer, "account": c.Account, "expiry": c.Expiry}) //nolint:wrapcheck // cli's own words
	}
	fmt.Fprintf(env.Stderr, "Signed in as %q until %s.\n", c.Account, c.Expiry.Local().Format(time.DateTime))
	return nil
}

func (f *flags) signIn(ctx context.Context, env *cli.Env, p *provider) (credential, error) {
	secret := devSecret(env, p.issuer)
	switch {
	case f.as != "":
		return f.direct(ctx, env, p, secret)
	case f.device:
		return p.viaDevice(ctx, func(d *oauth2.DeviceAuthResponse) {
			page := d.VerificationURI
			if secret != "" {
				page += "?" + url.Values{"user_code": {d.UserCode}, "proof": {localissuer.Proof(secret, d.UserCode)}}.Encode()
			}
			fmt.Fprintf(env.Stderr, "Open %s\nand enter the code %s\n", page, d.UserCode)
		})
	default:
		return p.viaBrowser(ctx, func(page string) {
			if !f.noBrowser && env.Interactive() && openBrowser(ctx, page) == nil {
				fmt.Fprintf(env.Stderr, "Your browser opens. If it does not, open\n%s\n", page)
				return
			}
			fmt.Fprintf(env.Stderr, "Open %s\n", page)
		}, func(state string) []oauth2.AuthCodeOption {
			if secret == "" {
				return nil
			}
			return []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("proof", localissuer.Proof(secret, state))}
		})
	}
}

// devSecret returns the local issuer's secret, if that is where we sign in: a
// proof that we can read it saves the person from typing it in.
func devSecret(env *cli.Env, issuer string) string {
	d, err := env.ReadDev()
	if err != nil || d.Issuer != issuer {
		return ""
	}
	secret, err := token.MintSecret(env)
	if err != nil {
		return ""
	}
	return secret
}

func (f *flags) direct(ctx context.Context, env *cli.Env, p *provider, secret string) (credential, error) {
	if secret == "" {
		return credential{}, errors.New("login: --as is for the local issuer of gatestay dev only; is one running in this folder (--dir)?")
	}
	var out struct {
		IDToken string `json:"id_token"`
	}
	in := map[string]string{"person": f.as, "client_id": f.clientID}
	if err := token.AskIssuer(ctx, env, "/signin", in, &out); err != nil {
		return credential{}, fmt.Errorf("login: %w", err)
	}
	t := (&oauth2.Token{}).WithExtra(map[string]any{"id_token": out.IDToken})
	return p.accept(ctx, t, "")
}
