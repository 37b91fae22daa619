package problem

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// MediaType is the media type of a problem (RFC 9457 section 6.1).
const MediaType = "application/problem+json"

// Problem is the body of an error answer: the members of RFC 9457 section 3.1
// and three extension members (section 3.2).
type Problem struct {
	// Type is a URI that identifies the kind of problem.
	Type string `json:"type"`
	// Title is the kind in words. It is the same for every problem of a kind.
	Title string `json:"title"`
	// Status is the answer's status code.
	Status int `json:"status"`
	// Detail says what the caller can do about this one.
	Detail string `json:"detail,omitempty"`
	// Code is the last part of Type, for programs.
	Code string `json:"code"`
	// RequestID is the answer's X-Request-Id.
	RequestID string `json:"requestID,omitempty"`
	// LoginURL is where a navigation starts a login, when that would help.
	LoginURL string `json:"loginURL,omitempty"`
}

// Member sets an optional member of a problem.
type Member func(*Problem)

// LoginURL sets the member loginURL.
func LoginURL(url string) Member { return func(p *Problem) { p.LoginURL = url } }

// Problem makes a problem of the kind.
func (k Kind) Problem(detail string, members ...Member) Problem {
	e := catalogue[k]
	p := Problem{Type: typeBase + e.code, Title: e.title, Status: e.status, Detail: detail, Code: e.code}
	for _, set := range members {
		set(&p)
	}
	return p
}

// Write answers the request with a problem of the kind. The detail is for the
// caller: no internal name, address or message belongs there. Headers that are
// set already stay, except those that describe a body. The answer is never
// cached and never framed (GAP-08, GAP-12); a kind with status 429 or 503
// carries Retry-After.
func (k Kind) Write(w http.ResponseWriter, r *http.Request, detail string, members ...Member) {
	e := catalogue[k]
	p := k.Problem(detail, members...)
	p.RequestID = cmp.Or(RequestID(r.Context()), RequestIDOf(w))
	body, err := json.Marshal(p)
	if err != nil { // strings and an int always marshal
		http.Error(w, http.StatusText(e.status), e.status)
		return
	}
	h := w.Header()
	h.Del("Content-Encoding")
	h.Del("ETag")
	h.Del("Last-Modified")
	h.Set("Content-Type", MediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if e.retryAfter > 0 && h.Get("Retry-After") == "" { // the caller may know better
		h.Set("Retry-After", strconv.Itoa(int(e.retryAfter/time.Second)))
	}
	if e.closes {
		h.Set("Connection", "close")
	}
	w.WriteHeader(e.status)
	_, _ = w.Write(body) // the caller has gone; there is nobody to tell
}
