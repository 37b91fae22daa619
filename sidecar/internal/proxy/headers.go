package proxy

import (
	"net/http"
	"strings"
)

// maxNameLength is how much of a header's name is compared. No name below is
// longer, so that a longer one can only match by its beginning.
const maxNameLength = 48

// never are the headers that no browser may send to what stands behind us:
// credentials, the names by which proxies pass on who the user is and where a
// request came from, and those that make a server act on another path or
// method than the one that was authorised (GAP-10, BFF-32). They are written
// in lower case with dashes; fold makes every spelling of a name look like
// that.
var never = nameSet(
	"authorization", "proxy-authorization", "proxy-authenticate", "proxy-connection", "dpop", "cookie2",
	"forwarded", "via", "x-real-ip", "true-client-ip", "x-client-ip", "x-cluster-client-ip", "client-ip", "x-remote-addr", "x-remote-ip",
	"remote-addr", "fastly-client-ip", "front-end-https",
	"x-original-url", "x-original-uri", "x-original-host", "x-original-method", "x-rewrite-url", "x-host", "x-http-host-override",
	"x-http-method", "x-http-method-override", "x-method-override", "x-scheme", "x-url-scheme", "x-forwarded",
	"remote-user", "remote-groups", "remote-name", "remote-email", "auth-user", "x-user", "x-user-id", "x-username", "x-user-name",
	"x-userinfo", "x-email", "x-groups", "x-roles", "x-access-token", "x-id-token", "x-request-id", "request-id",
	"client-cert", "client-cert-chain", "client-certificate",
)

// neverPrefixes are beginnings of such names.
var neverPrefixes = []string{
	"x-forwarded-", "x-auth-", "x-authenticated-", "x-remote-", "x-webauth-", "x-client-cert", "x-ssl-", "x-tls-", "ssl-client-",
	"x-goog-authenticated-", "x-goog-iap-", "x-ms-client-principal", "x-ms-token-", "x-amzn-oidc-", "cf-access-", "cf-connecting-",
	"x-envoy-", "x-original-forwarded-", "oidc-",
}

// ofCalls are removed from calls besides: the cookies of this origin are not
// the upstream's (BFF-05), the CSRF header and the Origin have done their work
// here and would only set an upstream's own checks against a page it does not
// know.
var ofCalls = nameSet("cookie", "x-csrf", "origin", "access-control-request-method", "access-control-request-headers",
	"access-control-request-private-network")

func nameSet(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		if len(name) > maxNameLength {
			panic("header name is longer than maxNameLength: " + name)
		}
		set[name] = true
	}
	return set
}

// fold writes a header's name in lower case with dashes. CGI and its heirs make
// no difference between X-User and x_user, so neither do we.
func fold(name string, buffer *[maxNameLength]byte) []byte {
	n := min(len(name), maxNameLength)
	for i := range n {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '_':
			c = '-'
		}
		buffer[i] = c
	}
	return buffer[:n]
}

// scrub removes what a browser must not send on. It reports nothing: a header
// that is removed is as if it had not been sent.
func scrub(h http.Header, more map[string]bool) {
	var buffer [maxNameLength]byte
	for name := range h {
		folded := fold(name, &buffer)
		if never[string(folded)] || more[string(folded)] || hasPrefix(folded, neverPrefixes) {
			delete(h, name)
		}
	}
}

func hasPrefix(folded []byte, prefixes []string) bool {
	for _, p := range prefixes {
		if len(folded) >= len(p) && string(folded[:len(p)]) == p {
			return true
		}
	}
	return false
}

// ofOrigin are response headers that have power over the whole origin or over
// what stands before us: cookies (BFF-06), CORS approvals (BFF-27), stored
// data, transport, reporting, and a reverse proxy's internal redirects. An
// upstream of a route owns a path and not the origin.
var ofOrigin = nameSet("set-cookie", "set-cookie2", "clear-site-data", "strict-transport-security", "alt-svc", "nel", "report-to",
	"reporting-endpoints", "dpop-nonce", "proxy-authenticate", "proxy-authentication-info", "x-sendfile", "x-request-id",
	"service-worker-allowed")

var ofOriginPrefixes = []string{"access-control-", "x-accel-"}

func scrubAnswer(h http.Header) {
	for name := range h {
		if isOfOrigin(name) {
			delete(h, name)
		}
	}
}

// scrubTrailers removes them from what net/http sends after the body: trailers
// that nobody announced.
func scrubTrailers(h http.Header) {
	for name := range h {
		if trailer, ok := strings.CutPrefix(name, http.TrailerPrefix); ok && isOfOrigin(trailer) {
			delete(h, name)
		}
	}
}

func isOfOrigin(name string) bool {
	var buffer [maxNameLength]byte
	folded := fold(name, &buffer)
	return ofOrigin[string(folded)] || hasPrefix(folded, ofOriginPrefixes)
}
