package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatestay/gatestay/libs/approval"
)

//go:embed template/*.html
var templates embed.FS

// view is what a page is rendered from.
type view struct {
	Title string
	Nav   string // the entry of the navigation that this is
	Live  bool   // follows changes
	Only  string // of this approval
	Visit *visit // nil where nobody is signed in
	Token string // of the forms
	Data  any
}

// notice is a page of a few words.
type notice struct{ Text, Detail, Hint, Code, Link, Label string }

type pages struct{ byName map[string]*template.Template }

func readPages(assets map[string]asset) (*pages, error) {
	funcs := template.FuncMap{
		"asset":   func(name string) string { return assets[name].path() },
		"visible": approval.Visible,
		"marked":  marked,
		"date":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
		"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"link":    link,
		"plural":  plural,
		"ran":     ran,
		"alarms":  listed,
		"ended":   ended,
		"lines":   lines,
	}
	p := &pages{byName: map[string]*template.Template{}}
	names, err := templates.ReadDir("template")
	if err != nil {
		return nil, fmt.Errorf("web: templates: %w", err)
	}
	for _, e := range names {
		name := strings.TrimSuffix(e.Name(), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		t, err := template.New("layout.html").Funcs(funcs).ParseFS(templates, "template/layout.html", "template/parts.html", "template/"+e.Name())
		if err != nil {
			return nil, fmt.Errorf("web: templates: %w", err)
		}
		p.byName[name] = t
	}
	return p, nil
}

// render writes a page whole or not at all.
func (w *Web) render(rw http.ResponseWriter, status int, name string, v view) {
	if v.Visit != nil {
		v.Token = w.vault.formToken(v.Visit.session)
	}
	var out bytes.Buffer
	if err := w.pages.byName[name].Execute(&out, v); err != nil {
		w.o.Log.Error().Err(err).Str("page", name).Msg("a page could not be rendered")
		http.Error(rw, "this page is broken", http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.WriteHeader(status)
	_, _ = rw.Write(out.Bytes()) // whoever asked went away
}

// sentence makes a refusal's words stand on a page.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	first, n := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[n:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
