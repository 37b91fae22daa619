package proxy

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/bff-operator/bff-operator/sidecar/internal/http1"
)

// hops are headers of one connection, which end with it (RFC 9110 section
// 7.6.1).
var hops = [...]string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// withoutHops removes them, and those that Connection names. That a request's
// sender takes trailers is said again, since we pass them on. No upgrade gets
// through: h2c would hide later requests from us.
func withoutHops(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	trailers := http1.HasToken(h["Te"], "trailers")
	for _, name := range hops {
		delete(h, name)
	}
	if trailers {
		h["Te"] = []string{"trailers"}
	}
}

// announce names the trailers that are to come.
func announce(h http.Header, trailer http.Header) {
	if len(trailer) == 0 {
		return
	}
	names := make([]string, 0, len(trailer))
	for name := range trailer {
		names = append(names, name)
	}
	slices.Sort(names)
	h["Trailer"] = []string{strings.Join(names, ", ")}
}

// trailers passes on those that may be: under their own names if just those were
// announced.
func trailers(h, trailer http.Header, announced bool) {
	prefix := http.TrailerPrefix
	if announced {
		prefix = ""
	}
	for name, values := range trailer {
		if !isOfOrigin(name) {
			h[prefix+name] = values
		}
	}
}
