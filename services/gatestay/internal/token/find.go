// Package token is 'gatestay token': it finds the OIDC token of a CI job, or
// asks the local issuer of gatestay dev for one.
package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

// DefaultAudience is the audience that gateways ask for unless configured
// otherwise.
const DefaultAudience = "gatestay"

// The variables in which a CI system hands over tokens.
const (
	gitHubURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	gitHubToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
	gitLabToken = "GATESTAY_ID_TOKEN" //nolint:gosec // the name of a variable
)

const maxToken = 16 << 10

// Found is a job's token.
type Found struct {
	Value  string
	Source string // where it came from, in words
	// Fresh says that another one can be had for the asking: a token that works
	// once can be used up without taking it from the rest of the job.
	Fresh bool
}

// Options narrow where Find looks.
type Options struct {
	Audience string // default gatestay
	File     string // read this file instead of looking around
}

// ErrNone is wrapped by Find's error where no token is to be found.
var ErrNone = errors.New("no OIDC token found")

// Find returns the token of this job: from a file that is named, GitHub's
// request URL, GitLab's GATESTAY_ID_TOKEN, or else of the local issuer, where
// gatestay dev runs and no other gateway is named. GATESTAY_ID_TOKEN comes
// first where both are set: somebody put it there for us.
func Find(ctx context.Context, env *cli.Env, o Options) (*Found, error) {
	if o.Audience == "" {
		o.Audience = DefaultAudience
	}
	switch {
	case o.File != "":
		return fromFile(o.File)
	case env.Getenv(gitLabToken) != "":
		t, err := tidy(env.Getenv(gitLabToken))
		return &Found{Value: t, Source: "the variable " + gitLabToken}, err
	case env.Getenv(gitHubURL) != "" && env.Getenv(gitHubToken) != "":
		return fromGitHub(ctx, env.Getenv(gitHubURL), env.Getenv(gitHubToken), o.Audience)
	case env.Getenv("GATESTAY_GATEWAY") == "" && devRuns(env):
		t, err := Mint(ctx, env, MintRequest{Audience: o.Audience})
		return &Found{Value: t, Source: "the local issuer of gatestay dev", Fresh: true}, err
	default:
		return nil, fmt.Errorf("%w: %s", ErrNone, advice(env))
	}
}

// advice says what to add to this job, in the words of its CI system.
func advice(env *cli.Env) string {
	switch {
	case env.Getenv("GITHUB_ACTIONS") != "":
		return "let the job ask for one; add to it:\n\n    permissions:\n      id-token: write\n\n(a pull request from a fork never gets one)"
	case env.Getenv("GITLAB_CI") != "":
		return "declare one; add to the job:\n\n    id_tokens:\n      " + gitLabToken + ":\n        aud: " + DefaultAudience + "\n"
	default:
		return "this is no CI job that Gatestay knows; put a token into " + gitLabToken + ", name a file with one, or, beside a running gatestay dev, use 'gatestay token --dev'"
	}
}

func fromFile(path string) (*Found, error) {
	f, err := os.Open(path) //nolint:gosec // the caller names the file
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxToken+2))
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	t, err := tidy(string(raw))
	if err != nil {
		return nil, fmt.Errorf("token: %s: %w", path, err)
	}
	return &Found{Value: t, Source: "the file " + path}, nil
}

// tidy cuts white space around a token and refuses what cannot be one, without
// ever saying it back.
func tidy(raw string) (string, error) {
	t := strings.TrimSpace(raw)
	switch {
	case t == "":
		return "", errors.New("token: empty")
	case len(t) > maxToken:
		return "", fmt.Errorf("token: longer than %d bytes", maxToken)
	case strings.Count(t, ".") != 2 || strings.ContainsAny(t, " \t\r\n"):
		return "", errors.New("token: not an OIDC token (three parts joined by dots)")
	}
	return t, nil
}
