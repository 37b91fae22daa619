package http1

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxLengthDigits bounds a Content-Length, so that it is never too large to be
// a number.
const maxLengthDigits = 15

// Target is a request's target in the origin form (RFC 9112 section 3.2.1), as
// net/http reads it.
type Target struct {
	// Path is the path, in which nothing is encoded.
	Path string
	// Query is what follows the first question mark. HasQuery tells an empty one
	// from none.
	Query    string
	HasQuery bool
}

// URL writes the target into u, as net/http has it in a request's URL.
func (t Target) URL(u *url.URL) {
	*u = url.URL{Path: t.Path, RawQuery: t.Query, ForceQuery: t.HasQuery && t.Query == ""}
}

// Line is a request line.
type Line struct {
	Method string
	// RequestURI is the target as it came.
	RequestURI string
	Target     Target
}

// ParseLine reads a request line. It is not ok for a method that is not one of
// those that pages use, a target that is not a plain path with or without a
// query, another version than HTTP/1.1, and other blanks than the two.
func ParseLine(line string) (l Line, ok bool) {
	method, rest, ok := strings.Cut(line, " ")
	if !ok || !known(method) {
		return Line{}, false
	}
	target, ok := strings.CutSuffix(rest, " HTTP/1.1")
	if !ok || target == "" || target[0] != '/' {
		return Line{}, false
	}
	l = Line{Method: method, RequestURI: target}
	l.Target.Path, l.Target.Query, l.Target.HasQuery = strings.Cut(target, "?")
	return l, all(l.Target.Path, isPath) && all(l.Target.Query, isQuery)
}

func known(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return true
	}
	return false
}

// Host takes the one Host field out of a request's header, where net/http does
// not have it either. It is not ok if there is none, more than one, or one that
// could be read in two ways.
func Host(h http.Header) (host string, ok bool) {
	values := h["Host"]
	if len(values) != 1 || values[0] == "" || !all(values[0], isHost) {
		return "", false
	}
	delete(h, "Host")
	return values[0], true
}

// Framing says how long a request's body is. It is not ok, and where the next
// request begins cannot be known here, if there is anything in the header that
// has a say in that but one Content-Length.
func Framing(h http.Header) (length int64, ok bool) {
	for _, name := range deciding {
		if h[name] != nil {
			return 0, false
		}
	}
	// net/http makes a Cache-Control of a Pragma that stands alone.
	if h["Pragma"] != nil && h["Cache-Control"] == nil {
		return 0, false
	}
	if connection := h["Connection"]; connection != nil && (len(connection) != 1 || !strings.EqualFold(connection[0], "keep-alive")) {
		return 0, false
	}
	values := h["Content-Length"]
	if values == nil {
		return 0, true
	}
	if len(values) != 1 || len(values[0]) > maxLengthDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(values[0], 10, 63) // digits and nothing else
	return int64(n), err == nil
}

// deciding are fields that say how a message or its connection goes on.
var deciding = [...]string{"Transfer-Encoding", "Upgrade", "Expect", "Trailer", "Te", "Keep-Alive", "Proxy-Connection", "Http2-Settings"}

// HasToken says whether a field that is a list, such as Connection, has a token
// in it. Case means nothing (RFC 9110 section 5.6.1).
func HasToken(values []string, token string) bool {
	for _, value := range values {
		for t := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
