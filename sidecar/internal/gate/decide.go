package gate

import (
	"net/http"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
)

// Verdict is a decision. Its zero value lets the request pass.
type Verdict struct {
	// Kind of the problem to answer with, or problem.None.
	Kind problem.Kind
	// Detail says what the caller should have sent.
	Detail string
}

var (
	pass        = Verdict{}
	crossOrigin = Verdict{problem.CrossOrigin, "This call must come from a page of this site."}
	preflight   = Verdict{problem.CrossOrigin, "No other origin may call this site."}
	socket      = Verdict{problem.CrossOrigin, "A WebSocket handshake must carry the Origin of this site."}
	noHeader    = Verdict{problem.CSRFHeaderMissing, "Send the header X-CSRF: 1 with every call, GET too."}
	noProof     = Verdict{problem.CSRFHeaderMissing, "Send the header X-CSRF: 1, or submit a form of this site."}
)

// Decide decides about one request. origin is the public URL.
//
// Nothing is ever allowed because a header is missing (FM-06): what the
// browser does not vouch for, the header X-CSRF must.
func Decide(rule Rule, f Facts, origin string) Verdict {
	switch rule {
	case Call:
		return decideCall(f, origin)
	case Fetch:
		return decideFetch(f, origin)
	case Submit:
		return decideSubmit(f, origin)
	}
	return crossOrigin
}

func decideCall(f Facts, origin string) Verdict {
	if f.WebSocket {
		// The handshake is a plain GET with cookies, to which CORS does not apply. A
		// browser always sends its Origin and no script can change it (RFC 6455
		// section 10.2, GAP-01).
		if f.Origin == origin {
			return pass
		}
		return socket
	}
	if f.EventStream && f.Method == http.MethodGet && !f.CSRF && !foreign(f, origin) && f.Site == "same-origin" {
		return pass // an EventSource cannot send headers, and a GET of our own page no Origin
	}
	return decideFetch(f, origin)
}

func decideFetch(f Facts, origin string) Verdict {
	switch {
	case f.Preflight:
		return preflight // BFF-27
	case foreign(f, origin):
		return crossOrigin
	case !f.CSRF:
		return noHeader // BFF-28, BFF-29
	}
	return pass
}

func decideSubmit(f Facts, origin string) Verdict {
	switch {
	case f.Preflight:
		return preflight
	case foreign(f, origin):
		return crossOrigin
	case !f.CSRF && f.Site != "same-origin" && f.Origin != origin:
		return noProof // GAP-05
	}
	return pass
}

// foreign says whether the browser vouches for another origin than ours
// (FM-03, FM-04).
func foreign(f Facts, origin string) bool {
	return f.HasOrigin && f.Origin != origin || f.Site != "" && f.Site != "same-origin"
}
