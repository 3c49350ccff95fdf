package kit

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Exchange trades a token for a run-bound credential at the gateway's API, as
// `gatestay run` does. more are further fields, such as {"plan", "apr_…"}.
func (g *Gatestay) Exchange(ctx context.Context, token, target string, more ...[2]string) (string, error) {
	roots, err := g.Roots()
	if err != nil {
		return "", err
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	form := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
		"subject_token":      {token}, "resource": {target}, "reason": {"benchmark"},
	}
	for _, field := range more {
		form.Set(field[0], field[1])
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.API+"/v1/exchange", strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("kit: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("kit: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return "", fmt.Errorf("kit: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("kit: exchange: %s: %s", response.Status, raw)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return "", fmt.Errorf("kit: exchange: %w", err)
	}
	return answer.AccessToken, nil
}
