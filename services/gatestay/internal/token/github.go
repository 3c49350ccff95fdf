package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/gatestay/gatestay/libs/loopback"
)

const (
	attempts       = 4
	requestTimeout = 15 * time.Second
)

// retryPause is how long to wait before the n-th further attempt.
func retryPause(n int) time.Duration { return time.Duration(n) * 500 * time.Millisecond }

// fromGitHub asks GitHub's token service, as actions/core getIDToken does: the
// request URL has a query already, to which the audience is added. Each request
// gives a fresh token.
func fromGitHub(ctx context.Context, requestURL, requestToken, audience string) (*Found, error) {
	u, err := url.Parse(requestURL)
	if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !loopback.Host(u.Host)) {
		return nil, fmt.Errorf("token: %s is not an https URL", gitHubURL)
	}
	q := u.Query()
	q.Set("audience", audience)
	u.RawQuery = q.Encode()
	for n := 1; ; n++ {
		t, again, err := askGitHub(ctx, u.String(), requestToken)
		if err == nil {
			return &Found{Value: t, Source: "GitHub's token service", Fresh: true}, nil
		}
		if !again || n == attempts {
			return nil, fmt.Errorf("token: GitHub's token service: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("token: %w", ctx.Err())
		case <-time.After(retryPause(n)):
		}
	}
}

func askGitHub(ctx context.Context, target, requestToken string) (t string, again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return "", false, errors.New("the request URL is not usable")
	}
	req.Header.Set("Authorization", "Bearer "+requestToken)
	req.Header.Set("Accept", "application/json; api-version=2.0")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error // its text holds the URL, which is the job's own business
		if errors.As(err, &u) {
			err = u.Err
		}
		return "", true, fmt.Errorf("no answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusTooManyRequests, fmt.Errorf("it answered %s", resp.Status)
	}
	var answer struct {
		Value string `json:"value"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 4*maxToken)).Decode(&answer); err != nil {
		return "", false, errors.New("it answered something that is no token")
	}
	t, err = tidy(answer.Value)
	return t, false, err
}
