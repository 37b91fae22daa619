package upstream

import (
	"net/http"
	"strconv"
	"strings"
)

// framing says how an answer goes on after its head (RFC 9112 section 6.3).
type framing struct {
	status int
	// length is that of the body that follows, in bytes; -1 if it comes in chunks.
	length int64
	// announced is Response.ContentLength.
	announced int64
	// closes says that the connection ends with this answer.
	closes bool
	// doubtful says that something else may follow than the answer says.
	doubtful bool
}

// maxLengthDigits bounds a Content-Length, so that it is never too large to be
// a number.
const maxLengthDigits = 15

// frame finds out how an answer to a method goes on. It is not ok for whatever is
// unusual: net/http has to decide about it.
func frame(method, line string, h http.Header) (f framing, ok bool) {
	if f.status, ok = status(line); !ok {
		return f, false
	}
	encoding, lengths := h["Transfer-Encoding"], h["Content-Length"]
	if f.status < 200 {
		return f, encoding == nil && lengths == nil
	}
	if f.closes, ok = closes(h["Connection"]); !ok {
		return f, false
	}
	if encoding != nil {
		f.length, f.announced = -1, -1
		return f, len(encoding) == 1 && strings.EqualFold(encoding[0], "chunked") && lengths == nil && h["Trailer"] == nil &&
			!bodiless(method, f.status)
	}
	f.announced = -1
	if lengths != nil {
		if len(lengths) != 1 || len(lengths[0]) > maxLengthDigits {
			return f, false
		}
		n, err := strconv.ParseUint(lengths[0], 10, 63) // digits and nothing else
		if err != nil {
			return f, false
		}
		f.announced = int64(n)
	}
	if bodiless(method, f.status) {
		// A length in a 204 is an error (RFC 9110 section 8.6). There may be a body.
		f.doubtful = f.status == http.StatusNoContent && f.announced > 0
		if method != http.MethodHead {
			f.announced = 0
		}
		return f, true
	}
	f.length = f.announced
	return f, lengths != nil // else it ends with the connection
}

// bodiless says whether an answer never has a body.
func bodiless(method string, status int) bool {
	return method == http.MethodHead || status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
}

// status reads a status line (RFC 9112 section 4).
func status(line string) (code int, ok bool) {
	rest, ok := strings.CutPrefix(line, version+" ")
	if !ok || len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' || rest[0] < '1' {
		return 0, false
	}
	for i := range 3 {
		if rest[i] < '0' || rest[i] > '9' {
			return 0, false
		}
		code = 10*code + int(rest[i]-'0')
	}
	return code, true
}

const version = "HTTP/1.1"

// closes reads a Connection field. It is not ok for anything but the two usual
// options.
func closes(values []string) (yes, ok bool) {
	switch {
	case values == nil:
		return false, true
	case len(values) != 1:
		return false, false
	case strings.EqualFold(values[0], "keep-alive"):
		return false, true
	}
	return true, strings.EqualFold(values[0], "close")
}

// sound says whether a head that net/http has read leaves no doubt about where
// the next answer begins: lines end in CRLF and are not continued, names are
// tokens, there are no control characters, and at most one field has a say in the body's length, or
// none where there must be none (RFC 9112 section 6.1, RFC 9110 section 8.6).
func sound(head string, status int) bool {
	deciding := 0
	for line := range strings.SplitSeq(head, "\r\n") {
		if !all(line, isValue) || line != "" && (line[0] == ' ' || line[0] == '\t') {
			return false
		}
		name, _, isField := strings.Cut(line, ":")
		if strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding") {
			deciding++
		}
		if isField && !strings.HasPrefix(line, "HTTP/") && !all(name, isToken) {
			return false
		}
	}
	return deciding == 0 || deciding == 1 && status >= 200 && status != http.StatusNoContent
}
