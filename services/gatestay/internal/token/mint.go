package token

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/gatestay/gatestay/libs/localissuer"
	"github.com/gatestay/gatestay/libs/loopback"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

// MintRequest says what token the local issuer shall make.
type MintRequest = localissuer.MintRequest

// Mint asks the local issuer of the running gatestay dev for a job token.
func Mint(ctx context.Context, env *cli.Env, r MintRequest) (string, error) {
	var answer struct {
		Value string `json:"value"`
	}
	if err := AskIssuer(ctx, env, "/mint", r, &answer); err != nil {
		return "", err
	}
	return tidy(answer.Value)
}

// MintSecret reads the secret that opens the local issuer.
func MintSecret(env *cli.Env) (string, error) {
	raw, err := os.ReadFile(filepath.Join(env.Dir, "keys", localissuer.SecretFile))
	if err != nil {
		return "", fmt.Errorf("token: the local issuer's secret: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// devRuns reports that a gatestay dev of this user has written its files.
func devRuns(env *cli.Env) bool {
	d, err := env.ReadDev()
	if err != nil || d.Issuer == "" {
		return false
	}
	_, err = MintSecret(env)
	return err == nil
}

// AskIssuer posts JSON to the local issuer, with the mint secret.
func AskIssuer(ctx context.Context, env *cli.Env, path string, body, answer any) error {
	d, err := env.ReadDev()
	if err != nil {
		return err //nolint:wrapcheck // says all there is to say
	}
	// The secret goes to this machine only, whatever dev.json says.
	u, err := url.Parse(d.Issuer)
	if err != nil || !loopback.Host(u.Host) {
		return fmt.Errorf("token: the issuer of gatestay dev, %q, is not on this machine", d.Issuer)
	}
	secret, err := MintSecret(env)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Issuer+path, bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("token: the local issuer does not answer; is gatestay dev running? %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	limited := io.LimitReader(resp.Body, 4*maxToken)
	if resp.StatusCode != http.StatusOK {
		var e struct {
			Description string `json:"error_description"`
		}
		_ = json.NewDecoder(limited).Decode(&e)
		return fmt.Errorf("token: the local issuer refused (%s): %s", resp.Status, e.Description)
	}
	if err := json.NewDecoder(limited).Decode(answer); err != nil {
		return errors.New("token: the local issuer answered something else than JSON")
	}
	return nil
}
