package service

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// probe asks a running service's endpoint, for container health checks: an
// image without a shell has nothing else to ask with. It returns what a service
// that is not ready says.
func probe(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	said, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("probe: %s: %s", response.Status, strings.TrimSpace(string(said)))
	}
	return nil
}
