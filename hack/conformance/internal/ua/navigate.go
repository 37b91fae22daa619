package ua

import (
	"html"
	"net/http"
	"net/url"
	"strings"
)

// Navigation is a document request.
type Navigation struct {
	URL string
	// From is the page whose link or form started it; "" is the address bar.
	From string
	// Form makes it a POST of a form; nil is a GET.
	Form url.Values
	// Frame loads into an iframe of From in place of the tab.
	Frame bool
	// Stay does not follow redirects, refreshing pages and forms that submit
	// themselves.
	Stay bool
	// Header are sent besides or in place of a browser's.
	Header http.Header
}

// maxHops bounds redirects as browsers do.
const maxHops = 20

// Navigate goes to a URL by the address bar and follows wherever that leads.
func (a *Agent) Navigate(to string) *Response {
	a.t.Helper()
	return a.Go(Navigation{URL: to})
}

// Go navigates.
func (a *Agent) Go(n Navigation) *Response {
	a.t.Helper()
	var hops []*Response
	step := step{to: a.url(n.URL), form: n.Form}
	if n.From != "" {
		step.chain = []*url.URL{a.url(n.From)}
	}
	for {
		r := a.must(a.document(n, step))
		r.Hops = hops
		next, ok := a.next(r, step)
		if n.Stay || !ok {
			return r
		}
		if len(hops) == maxHops {
			a.t.Fatalf("navigation to %s does not end: now at %s", n.URL, r.URL)
		}
		hops, step = append(hops, r), next
	}
}

// step is one document request of a navigation. chain are the page that started
// it and all URLs redirected through since (Fetch Metadata section 2.3).
type step struct {
	to    *url.URL
	form  url.Values
	chain []*url.URL
}

func (s step) site() string {
	site := "none"
	for _, from := range s.chain {
		if r := relation(from, s.to); site == "none" || site == "same-origin" || r == "cross-site" {
			site = r
		}
	}
	return site
}

func (a *Agent) document(n Navigation, s step) (*Response, error) {
	method, body := http.MethodGet, ""
	if s.form != nil {
		method, body = http.MethodPost, s.form.Encode()
	}
	r, err := http.NewRequest(method, s.to.String(), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	site, destination := s.site(), "document"
	if n.Frame {
		destination = "iframe"
	}
	h := r.Header
	h.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	h.Set("User-Agent", userAgent)
	h.Set("Upgrade-Insecure-Requests", "1")
	h.Set("Sec-Fetch-Site", site)
	h.Set("Sec-Fetch-Mode", "navigate")
	h.Set("Sec-Fetch-Dest", destination)
	if !n.Frame {
		h.Set("Sec-Fetch-User", "?1")
	}
	if s.form != nil {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		h.Set("Origin", originOfForm(s))
	}
	for name, values := range n.Header {
		h[name] = values
	}
	if h.Get("Accept") == "-" {
		h.Del("Accept")
	}
	crossSite := site == "cross-site"
	topLevel := !n.Frame && method == http.MethodGet
	return a.send(r, crossSite, topLevel, true)
}

func originOfForm(s step) string {
	if len(s.chain) == 0 || s.chain[0] == opaque {
		return "null"
	}
	return OriginOf(s.chain[0])
}

// next is where an answer leads by itself.
func (a *Agent) next(r *Response, s step) (step, bool) {
	if target := r.Location(); target != nil && r.Status >= 300 && r.Status < 400 {
		next := step{to: target, chain: append(s.chain, r.URL)}
		if (r.Status == http.StatusTemporaryRedirect || r.Status == http.StatusPermanentRedirect) && s.form != nil {
			next.form = s.form
		}
		if len(s.chain) == 0 {
			next.chain = nil // an address typed in: it is the user's own navigation to the end
		}
		return next, true
	}
	if r.Status >= 400 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
		return step{}, false
	}
	page := r.URL
	if sandboxed(r.Header) {
		page = opaque
	}
	if found := refreshing.FindStringSubmatch(r.Body); found != nil {
		if target, err := r.URL.Parse(html.UnescapeString(found[1])); err == nil {
			return step{to: target, chain: []*url.URL{page}}, true
		}
	}
	if target, fields, ok := FormOf(r); ok && submits(r, target) {
		return step{to: target, form: fields, chain: []*url.URL{page}}, true
	}
	return step{}, false
}

const userAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
