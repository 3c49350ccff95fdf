package login

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

// ErrSignedOut is wrapped by Token's error where a sign-in is missing or over.
var ErrSignedOut = errors.New("not signed in")

// ending is how much before its end a sign-in counts as over: a request must
// not run out of it on its way.
const ending = 30 * time.Second

// Token returns the ID token of who is signed in at the deployment's provider
// (GATESTAY_ISSUER, or that of a running gatestay dev): what the services take
// as bearer token. Without one, the error says to run 'gatestay login'.
func Token(env *cli.Env) (string, error) {
	c, err := current(env, time.Now())
	if err != nil {
		return "", err
	}
	return c.IDToken, nil
}

// Account returns whose token Token returns, for display.
func Account(env *cli.Env) (string, error) {
	c, err := current(env, time.Now())
	if err != nil {
		return "", err
	}
	return c.Account, nil
}

func current(env *cli.Env, now time.Time) (credential, error) {
	issuer, err := issuerOf(env, "")
	if err != nil {
		return credential{}, err
	}
	s, err := openStore(env)
	if err != nil {
		return credential{}, err
	}
	all, err := s.load()
	if err != nil {
		return credential{}, err
	}
	c, ok := all[keyOf(env, issuer)]
	switch {
	case !ok:
		return credential{}, fmt.Errorf("%w at %s: run 'gatestay login'", ErrSignedOut, issuer)
	case now.Add(ending).After(c.Expiry):
		return credential{}, fmt.Errorf("%w any more: your sign-in at %s ended at %s; run 'gatestay login'", ErrSignedOut, issuer, c.Expiry.Local().Format(time.DateTime))
	default:
		return c, nil
	}
}

// keyOf returns what a sign-in is kept under: the issuer; for the local one of
// gatestay dev its folder too, as those of several folders take turns on the
// same port, each with keys of its own.
func keyOf(env *cli.Env, issuer string) string {
	d, err := env.ReadDev()
	if err != nil || d.Issuer != issuer {
		return issuer
	}
	dir, err := filepath.Abs(env.Dir)
	if err != nil {
		return issuer
	}
	return issuer + " " + dir
}

// issuerOf returns the provider: as given, or that of the deployment.
func issuerOf(env *cli.Env, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	if issuer := env.Getenv("GATESTAY_ISSUER"); issuer != "" {
		return issuer, nil
	}
	d, err := env.ReadDev()
	if err != nil || d.Issuer == "" {
		return "", errors.New("login: no provider to sign in at: set GATESTAY_ISSUER to its URL (or give --issuer), or start 'gatestay dev'")
	}
	return d.Issuer, nil
}
