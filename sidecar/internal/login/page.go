package login

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// pagePolicy lets a page show itself and its own style, and nothing else
// (BFF-40, GAP-12). The style is named by its hash, so that no other one could
// be slipped in.
var pagePolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-" +
	base64.StdEncoding.EncodeToString(hashOf(pageStyle)) + "'"

func hashOf(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// retryAfter is how many seconds somebody should wait who found something
// unavailable.
const retryAfter = 5

// page is what page.html shows.
type page struct {
	Style     template.CSS // ours
	Title     string
	Text      string
	Next      string // where the page goes on to by itself, "" if it stays
	Link      string
	LinkText  string
	RequestID string
}

// writeBouncePage sends a browser on to a path of this origin, from a page of
// this origin.
func writeBouncePage(w http.ResponseWriter, returnTo string) {
	writePage(w, http.StatusOK, page{Title: "Signed in", Text: "One moment.", Next: returnTo, Link: returnTo, LinkText: "Continue"})
}

// writeErrorPage tells a person what went wrong and what to do.
func writeErrorPage(w http.ResponseWriter, r *http.Request, f refusal) {
	p := page{Title: titleOf(f), Text: f.detail, RequestID: problem.RequestID(r.Context())}
	if f.again != "" {
		p.Link, p.LinkText = f.again, "Try again"
	}
	status := f.kind.Status()
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	writePage(w, status, p)
}

func titleOf(f refusal) string {
	if f.flow == FlowLogout {
		return "You were not signed out"
	}
	if f.kind.Status() >= http.StatusInternalServerError {
		return "Sign-in is not possible right now"
	}
	return "You were not signed in"
}

func writePage(w http.ResponseWriter, status int, p page) {
	p.Style = template.CSS(pageStyle)
	var body bytes.Buffer
	if err := pageTemplate.Execute(&body, p); err != nil { // strings into a fixed template
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	// The address holds a code and a state (SEC-16).
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the browser has gone; there is nobody to tell
}
