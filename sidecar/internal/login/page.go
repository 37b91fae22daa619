package login

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"strconv"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
)

//go:embed page.css
var pageStyle string

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

// page is what a person sees. Next and Link are paths of this origin, which
// begin with a slash: escaping them for HTML makes them safe, since no scheme
// can stand there.
type page struct {
	Title     string
	Text      string
	Next      string // where the page goes on to by itself, "" if it stays
	Link      string
	LinkText  string
	RequestID string
}

const pageHead = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
`

// html writes the page. It does so by hand, since a template engine would cost
// the sidecar half of its memory: the linker can drop no method that a template
// might call.
func (p page) html() []byte {
	var b bytes.Buffer
	b.WriteString(pageHead)
	body := "<body>\n<main>\n"
	if p.Next != "" {
		fmt.Fprintf(&b, "<meta http-equiv=\"refresh\" content=\"0; url=%s\">\n", html.EscapeString(p.Next))
		body = "<body>\n<main class=\"going\">\n"
	}
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n</head>\n%s", html.EscapeString(p.Title), pageStyle, body)
	fmt.Fprintf(&b, "<h1>%s</h1>\n<p>%s</p>\n", html.EscapeString(p.Title), html.EscapeString(p.Text))
	if p.Link != "" {
		fmt.Fprintf(&b, "<p><a href=\"%s\">%s</a></p>\n", html.EscapeString(p.Link), html.EscapeString(p.LinkText))
	}
	if p.RequestID != "" {
		fmt.Fprintf(&b, "<footer>Request <code>%s</code></footer>\n", html.EscapeString(p.RequestID))
	}
	b.WriteString("</main>\n</body>\n</html>\n")
	return b.Bytes()
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
	body := p.html()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	// The address holds a code and a state (SEC-16).
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the browser has gone; there is nobody to tell
}
