package localissuer

import (
	"crypto/sha256"
	_ "embed" // the pages and their style
	"encoding/base64"
	"html/template"
	"net/http"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// choicePage asks who is there.
type choicePage struct {
	Action      string // where the form goes
	ReturnTo    string // origin that the answer redirects to, if any
	Application string
	UserCode    string
	People      []Person
	Hidden      map[string]string
	AskSecret   bool
	MayDeny     bool
}

type page struct {
	Style          template.CSS
	Title, Message string
	Choice         *choicePage
	CodeForm       bool
}

func (i *Issuer) showChoice(w http.ResponseWriter, c choicePage) {
	i.show(w, http.StatusOK, c.ReturnTo, page{Title: "Sign in", Choice: &c})
}

func (i *Issuer) showCodeForm(w http.ResponseWriter, problem string) {
	i.show(w, http.StatusOK, "", page{Title: "Connect a terminal", Message: problem, CodeForm: true})
}

func (i *Issuer) showMessage(w http.ResponseWriter, status int, title, message string) {
	i.show(w, status, "", page{Title: title, Message: message})
}

// show writes a page that runs no script, loads nothing, cannot be framed, and
// whose form can only go here and on to returnTo.
func (i *Issuer) show(w http.ResponseWriter, status int, returnTo string, p page) {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		fail(w, http.StatusInternalServerError, "server_error", "the page is broken")
		return
	}
	p.Style = template.CSS(pageCSS) //nolint:gosec // our own file
	sum := sha256.Sum256([]byte(pageCSS))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+
		"'; form-action 'self' "+returnTo+"; frame-ancestors 'none'; base-uri 'none'")
	// The form's Origin must be sent: it is what the guard looks at.
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_ = t.Execute(w, p)
}
