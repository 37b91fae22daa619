package idp

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// page is what page.html shows. Which parts it shows depends on which fields are set.
type page struct {
	Title   string
	Message string

	LoginURL string // a login form
	Request  string
	Username string
	Failure  string
	Users    []User // credentials to hint at

	ConfirmURL string // a logout confirmation
	ClientID   string
	ReturnURL  string
	State      string

	// FormRedirect is where the form's answer may redirect to. Chromium applies form-action to redirects as well.
	FormRedirect string

	CSS template.CSS
}

func (p *Provider) index(w http.ResponseWriter, _ *http.Request) {
	p.render(w, http.StatusOK, page{Title: "Demo identity provider",
		Message: "Applications send you here to sign in. There is nothing to do on this page."})
}

var styleHash = func() string {
	sum := sha256.Sum256([]byte(pageCSS))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

func (p *Provider) render(w http.ResponseWriter, status int, view page) {
	view.CSS = template.CSS(pageCSS)
	var body bytes.Buffer
	if err := pageTemplate.Execute(&body, view); err != nil {
		http.Error(w, "the page could not be rendered", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src "+styleHash+"; img-src data:; form-action "+
		formAction(view)+"; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the browser has gone; there is nobody to tell
}

// formAction lists where a form on the page may end up.
func formAction(view page) string {
	if view.LoginURL == "" && view.ConfirmURL == "" {
		return "'none'"
	}
	if u, err := url.Parse(view.FormRedirect); err == nil && u.Host != "" {
		return "'self' " + u.Scheme + "://" + u.Host
	}
	return "'self'"
}
