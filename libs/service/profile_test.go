package service

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestProfilesAreOffUnlessAskedFor(t *testing.T) {
	for value, want := range map[string]int{"": http.StatusNotFound, "0": http.StatusNotFound, "1": http.StatusOK} {
		t.Setenv(ProfileVariable, value)
		mux := http.NewServeMux()
		NewHealth().Mount(mux)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/debug/pprof/allocs", nil))
		if w.Code != want {
			t.Errorf("%s=%q: /debug/pprof/allocs answers %d, want %d", ProfileVariable, value, w.Code, want)
		}
	}
}
