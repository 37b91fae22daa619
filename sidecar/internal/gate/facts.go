// Package gate decides what a request must show before it is served: that it
// comes from a page of our own origin (RFC 10017 section 6.1.3.3). The
// decisions are pure; a thin handler asks for them.
//
// Endpoints that browsers navigate to from other sites (login, callback) are
// not behind this gate: state, nonce and the transaction's cookie protect those.
package gate

import (
	"net/http"
	"strings"

	"github.com/bff-operator/bff-operator/sidecar/internal/http1"
)

// Rule is what kind of request is asked for, and so what it must show.
type Rule uint8

const (
	// Call is a call to a route: the header X-CSRF: 1, or what stands in for it
	// where a browser cannot send it (WebSocket, EventSource).
	Call Rule = iota + 1
	// Fetch is a call to one of our endpoints that scripts read: the header, and
	// nothing stands in for it.
	Fetch
	// Submit is a form or fetch that changes something of ours: the header, or
	// proof of our own origin.
	Submit
)

// CSRFHeader is the header that every call carries, with the value CSRFValue.
// Another origin's script cannot send it without a preflight, which is never
// approved (BFF-28).
const (
	CSRFHeader = "X-CSRF"
	CSRFValue  = "1"
)

// Facts are what a decision rests on: the parts of a request that its sender's
// browser vouches for.
type Facts struct {
	Method string
	// CSRF says whether the header X-CSRF stands there once, with the value 1.
	CSRF bool
	// Origin is the header of that name. Several, or an empty one, count as an
	// origin that is not ours.
	Origin    string
	HasOrigin bool
	// Site is the header Sec-Fetch-Site. A value that is unknown, or stands there
	// twice, counts as absent (FM-01).
	Site string
	// Preflight says whether this is a CORS preflight.
	Preflight bool
	// WebSocket says whether this is a WebSocket handshake (RFC 6455 section 4.1).
	WebSocket bool
	// EventStream says whether only an event stream is accepted, as an EventSource
	// asks for.
	EventStream bool
}

// FactsOf reads the facts of a request.
func FactsOf(r *http.Request) Facts {
	h := r.Header
	origins := h["Origin"]
	f := Facts{
		Method:      r.Method,
		CSRF:        len(h[canonicalCSRF]) == 1 && h[canonicalCSRF][0] == CSRFValue,
		HasOrigin:   len(origins) > 0,
		Site:        known(h["Sec-Fetch-Site"], "same-origin", "same-site", "cross-site", "none"),
		Preflight:   r.Method == http.MethodOptions && len(h["Access-Control-Request-Method"]) > 0,
		WebSocket:   IsWebSocket(r),
		EventStream: len(h["Accept"]) == 1 && h["Accept"][0] == "text/event-stream",
	}
	if len(origins) == 1 {
		f.Origin = origins[0]
	}
	return f
}

var canonicalCSRF = http.CanonicalHeaderKey(CSRFHeader)

// known returns the one value if it is among those listed.
func known(values []string, list ...string) string {
	if len(values) == 1 {
		for _, v := range list {
			if values[0] == v {
				return v
			}
		}
	}
	return ""
}

// IsWebSocket says whether a request is a WebSocket handshake over HTTP/1.1.
func IsWebSocket(r *http.Request) bool {
	upgrade := r.Header["Upgrade"]
	return len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket") &&
		r.Method == http.MethodGet && r.ContentLength == 0 && http1.HasToken(r.Header["Connection"], "upgrade")
}
