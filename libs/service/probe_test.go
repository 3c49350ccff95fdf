package service

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestProbe(t *testing.T) {
	health := NewHealth()
	mux := http.NewServeMux()
	health.Mount(mux)
	server := httptest.NewServer(mux)
	defer server.Close()

	if err := probe(t.Context(), server.URL+"/readyz"); err != nil {
		t.Errorf("a ready service: %v", err)
	}
	health.Check("bus", func() error { return errors.New("not connected") })
	if err := probe(t.Context(), server.URL+"/readyz"); err == nil || !strings.Contains(err.Error(), "bus: not connected") {
		t.Errorf("a service that is not ready: %v, want its own words", err)
	}
	server.Close()
	if err := probe(t.Context(), server.URL+"/readyz"); err == nil {
		t.Error("nobody there: want an error")
	}
}
