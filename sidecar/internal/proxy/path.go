package proxy

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Path is a request's target, read in the one way it can be read. The path
// that is authorised (Decoded) and the one that is sent (Escaped) come from
// one parse (BFF-33, GAP-11).
type Path struct {
	// Decoded is the path without percent-encoding. Routes match it.
	Decoded string
	// Bare is Decoded without path parameters (;name=value), which some servers
	// remove before they look at a path. It equals Decoded for nearly all paths.
	Bare string
	// Escaped is what is sent: the bytes that arrived, except that characters
	// which never need encoding stand there plainly and hex digits are upper case
	// (RFC 3986 section 6.2.2).
	Escaped string
	// Query is what follows the first question mark, untouched. HasQuery tells
	// an empty query from none.
	Query    string
	HasQuery bool
}

// Target is the path and query as they stand in a request line.
func (p Path) Target() string {
	if p.HasQuery {
		return p.Escaped + "?" + p.Query
	}
	return p.Escaped
}

// Errors of ParseTarget. Their text may be shown to the caller.
var (
	errTargetForm    = errors.New("the request target must be a path that starts with /")
	errAuthority     = errors.New("the request target names another host")
	errCharacter     = errors.New("the path holds a character that must be percent-encoded")
	errEncoding      = errors.New("the path holds a percent sign that is not followed by two hex digits")
	errDoubled       = errors.New("the path holds a percent-encoded percent sign followed by two hex digits: encode once")
	errSeparator     = errors.New("the path holds an encoded slash or backslash")
	errControl       = errors.New("the path holds an encoded control character")
	errUTF8          = errors.New("the path is not UTF-8 once decoded")
	errDotSegment    = errors.New("the path holds a . or .. segment: send it resolved")
	errEmptySegment  = errors.New("the path holds an empty segment: send single slashes")
	errAmbiguousPath = errors.New("the path means another route once its ;parameters are removed")
)

// ParseTarget reads the target of a request line (RFC 9112 section 3.2) and
// refuses every path that two servers could read differently: encoded or
// doubled slashes, backslashes, dot segments (also with path parameters, as in
// "..;"), anything encoded twice, control characters, bytes that are not
// UTF-8. The same rules hold for routes and for the application, so that no
// path can look like the one and be the other.
//
// The absolute form is accepted for authority alone, which is the host and
// port of the public URL.
func ParseTarget(target, authority string) (Path, error) {
	if target == "" || target[0] != '/' {
		rest, ok := cutScheme(target)
		if !ok {
			return Path{}, errTargetForm
		}
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		if !strings.EqualFold(rest[:end], authority) {
			return Path{}, errAuthority
		}
		if target = rest[end:]; target == "" || target[0] == '?' {
			target = "/" + target
		}
	}
	raw, query, hasQuery := strings.Cut(target, "?")
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c == 0x7f || c == '#' {
			return Path{}, errCharacter
		}
	}
	p, err := parsePath(raw)
	p.Query, p.HasQuery = query, hasQuery
	return p, err
}

func cutScheme(target string) (rest string, ok bool) {
	for _, scheme := range []string{"http://", "https://"} {
		if len(target) >= len(scheme) && strings.EqualFold(target[:len(scheme)], scheme) {
			return target[len(scheme):], true
		}
	}
	return "", false
}

func parsePath(raw string) (Path, error) {
	p, err := decode(raw)
	if err != nil {
		return Path{}, err
	}
	if err := checkSegments(p.Decoded); err != nil {
		return Path{}, err
	}
	p.Bare = withoutParameters(p.Decoded)
	return p, nil
}

// decode decodes once. A path of plain characters, as nearly all are, is
// returned as it came, without a copy.
func decode(raw string) (Path, error) {
	plain := 0
	for plain < len(raw) && raw[plain] != '%' {
		if !allowed(raw[plain]) {
			return Path{}, errCharacter
		}
		plain++
	}
	if plain == len(raw) {
		return Path{Decoded: raw, Escaped: raw}, nil
	}

	decoded := make([]byte, plain, len(raw))
	escaped := make([]byte, plain, len(raw))
	copy(decoded, raw)
	copy(escaped, raw)
	for i := plain; i < len(raw); i++ {
		c := raw[i]
		if c != '%' {
			if !allowed(c) {
				return Path{}, errCharacter
			}
			decoded, escaped = append(decoded, c), append(escaped, c)
			continue
		}
		b, ok := hexPair(raw[i+1:])
		if !ok {
			return Path{}, errEncoding
		}
		switch {
		case b == '/' || b == '\\':
			return Path{}, errSeparator
		case b < ' ' || b == 0x7f:
			return Path{}, errControl
		case b == '%' && startsHexPair(raw[i+3:]):
			return Path{}, errDoubled
		}
		decoded = append(decoded, b)
		if unreserved(b) {
			escaped = append(escaped, b)
		} else {
			escaped = append(escaped, '%', upperHex[b>>4], upperHex[b&15])
		}
		i += 2
	}
	if !utf8.Valid(decoded) {
		return Path{}, errUTF8
	}
	return Path{Decoded: string(decoded), Escaped: string(escaped)}, nil
}

const upperHex = "0123456789ABCDEF"

// startsHexPair looks at what follows an encoded percent sign: two characters
// that a second decoding would take for hex digits, themselves plain or
// encoded.
func startsHexPair(rest string) bool {
	for range 2 {
		switch {
		case len(rest) > 0 && isHex(rest[0]):
			rest = rest[1:]
		case len(rest) > 2 && rest[0] == '%':
			b, ok := hexPair(rest[1:])
			if !ok || !isHex(b) {
				return false
			}
			rest = rest[3:]
		default:
			return false
		}
	}
	return true
}

func hexPair(s string) (byte, bool) {
	if len(s) < 2 || !isHex(s[0]) || !isHex(s[1]) {
		return 0, false
	}
	return hexValue(s[0])<<4 | hexValue(s[1]), true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

// unreserved is RFC 3986 section 2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// allowed says which characters may stand unencoded in a path: those of RFC
// 3986 section 3.3, and four more that browsers leave alone.
func allowed(c byte) bool {
	return unreserved(c) || strings.IndexByte("/!$&'()*+,;=:@[]|^", c) >= 0
}

// checkSegments refuses empty segments, except the last, and dot segments.
func checkSegments(decoded string) error {
	if decoded == "" || decoded[0] != '/' {
		return errTargetForm
	}
	for rest, more := decoded[1:], true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		name, _, _ := strings.Cut(segment, ";")
		switch {
		case name == "." || name == "..":
			return errDotSegment
		case name == "" && (more || segment != ""):
			return errEmptySegment
		}
	}
	return nil
}

func withoutParameters(decoded string) string {
	if strings.IndexByte(decoded, ';') < 0 {
		return decoded
	}
	segments := strings.Split(decoded, "/")
	for i, segment := range segments {
		segments[i], _, _ = strings.Cut(segment, ";")
	}
	return strings.Join(segments, "/")
}
