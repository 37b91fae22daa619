// Package page writes HTML for people: what went wrong and what to do about it,
// a page that goes on by itself, and a form that submits itself to the identity
// provider. No page loads anything, can be framed, or is kept by a cache.
package page

import (
	"bytes"
	_ "embed"
	"fmt"
	"html"
	"net/http"
	"strconv"
)

//go:embed page.css
var style string

// Page is what a person sees. Next and Link are paths of this origin, which
// begin with a slash: escaping them for HTML makes them safe, since no scheme
// can stand there.
type Page struct {
	Title string
	Text  string
	// Next is where the page goes on to by itself, "" if it stays.
	Next string
	// Link is where a person may go on to, "" for nowhere.
	Link, LinkText string
	// RequestID helps whoever has to find out what happened. It may be empty.
	RequestID string
	// Form submits itself, nil for none.
	Form *Form
}

const head = `<!doctype html>
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
func (p Page) html() []byte {
	var b bytes.Buffer
	b.WriteString(head)
	if p.Next != "" {
		fmt.Fprintf(&b, "<meta http-equiv=\"refresh\" content=\"0; url=%s\">\n", html.EscapeString(p.Next))
	}
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n</head>\n<body>\n", html.EscapeString(p.Title), style)
	if p.Next != "" || p.Form != nil {
		b.WriteString("<main class=\"going\">\n")
	} else {
		b.WriteString("<main>\n")
	}
	fmt.Fprintf(&b, "<h1>%s</h1>\n<p>%s</p>\n", html.EscapeString(p.Title), html.EscapeString(p.Text))
	if p.Link != "" {
		fmt.Fprintf(&b, "<p><a href=\"%s\">%s</a></p>\n", html.EscapeString(p.Link), html.EscapeString(p.LinkText))
	}
	if p.Form != nil {
		p.Form.html(&b)
	}
	if p.RequestID != "" {
		fmt.Fprintf(&b, "<footer>Request <code>%s</code></footer>\n", html.EscapeString(p.RequestID))
	}
	b.WriteString("</main>\n</body>\n</html>\n")
	return b.Bytes()
}

// Write answers with a page. Headers that are set already stay, except those
// that describe a body and those that protect the page.
func Write(w http.ResponseWriter, status int, p Page) {
	body := p.html()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", p.policy())
	h.Set("X-Content-Type-Options", "nosniff")
	// The address may hold a code and a state (SEC-16).
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the browser has gone; there is nobody to tell
}
