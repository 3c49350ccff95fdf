package service

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// Page is what a service says to whoever opens its address in a browser: what
// it is, what it answers, and the commands that ask it. It is the same for
// everybody and holds nothing about what runs.
type Page struct {
	Name, About string
	Endpoints   [][2]string // method and path, what it answers
	Commands    [][2]string // command line, what it does
}

// Mount serves the page at the root.
func (p Page) Mount(mux *http.ServeMux) error {
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, p); err != nil {
		return fmt.Errorf("service: page: %w", err)
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		_, _ = w.Write(out.Bytes()) // whoever asked went away
	})
	return nil
}
