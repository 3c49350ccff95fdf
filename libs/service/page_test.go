package service

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	mux := http.NewServeMux()
	p := Page{Name: "Approvals", About: "What <waits>.", Endpoints: [][2]string{{"GET /v1/approvals", "all"}}, Commands: [][2]string{{"gatestay approvals list", "lists"}}}
	if err := p.Mount(mux); err != nil {
		t.Fatal(err)
	}
	get := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w
	}
	w := get(http.MethodGet, "/")
	for _, want := range []string{"Approvals", "What &lt;waits&gt;.", "GET /v1/approvals", "gatestay approvals list"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, w.Body)
		}
	}
	if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%d, %v", w.Code, w.Header())
	}
	for path, method := range map[string]string{"/other": http.MethodGet, "/": http.MethodPost} {
		if w := get(method, path); w.Code == http.StatusOK {
			t.Errorf("%s %s answers %d", method, path, w.Code)
		}
	}
}
