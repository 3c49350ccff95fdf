package policy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

// maxInput bounds what is read from a file or standard input, in bytes.
const maxInput = 1 << 20

// tokenPrincipal reads a token, or its payload as JSON, from a file, standard
// input (-), or the argument itself. It is not verified.
func tokenPrincipal(env *cli.Env, source string) (*eventv1.Principal, error) {
	raw := source
	if !strings.HasPrefix(source, "eyJ") && !strings.HasPrefix(source, "{") {
		var err error
		if raw, err = readInput(env, source); err != nil {
			return nil, fmt.Errorf("--token: %w", err)
		}
	}
	return identity.Unverified(raw)
}

// readInput reads a file, or standard input for "-".
func readInput(env *cli.Env, path string) (string, error) {
	from := env.Stdin
	if path != "-" {
		file, err := os.Open(path) //nolint:gosec // the caller names the file
		if err != nil {
			return "", err
		}
		defer func() { _ = file.Close() }()
		from = file
	}
	raw, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err != nil {
		return "", err
	}
	if len(raw) > maxInput {
		return "", fmt.Errorf("more than %d bytes", maxInput)
	}
	return string(raw), nil
}

// who reads who asks: of a token, or of what was written.
func (f *explainFlags) who(env *cli.Env, issuers []policy.Issuer) (*eventv1.Principal, error) {
	var p *eventv1.Principal
	var err error
	switch {
	case f.token != "":
		p, err = tokenPrincipal(env, f.token)
	case f.principal != "":
		if p, err = policy.ParsePrincipal(f.principal); err == nil {
			complete(env, p, issuers)
		}
	default:
		err = errors.New("who asks? say --principal repository_id=1001,repository_owner_id=2002 or --token FILE")
	}
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"agent": f.agent, "on_behalf_of": f.onBehalfOf} {
		if value == "" {
			continue
		}
		switch name {
		case "agent":
			p.Agent = value
		default:
			p.OnBehalfOf = value
		}
		p.Asserted = append(p.Asserted, name)
	}
	return p, nil
}

// complete fills in what tells a CI system's jobs apart from another's, where
// only one can be meant: rules ask for it, and people forget to say it.
func complete(env *cli.Env, p *eventv1.Principal, issuers []policy.Issuer) {
	if p.Preset != "" || p.Issuer != "" {
		return
	}
	switch {
	case len(issuers) == 1:
		p.Issuer, p.Preset = issuers[0].URL, issuers[0].Preset
	case len(issuers) == 0 && p.RepositoryOwnerId != "":
		p.Preset = policy.PresetGitHub
	default:
		return
	}
	_, _ = fmt.Fprintf(env.Stderr, "taken as a job of %s; say preset=… for another\n", p.Preset)
}
