package login

import (
	"errors"
	"net/url"
	"strings"
)

// maxReturnTo bounds returnTo, in bytes. It has to fit into a cookie.
const maxReturnTo = 2048

// ErrReturnTo says that a value is not a path of this site. Its wrapped text
// says what to send instead.
var ErrReturnTo = errors.New("returnTo must be a path of this site, such as /orders?page=2")

// ReturnTo checks where a browser is to go after its login: an absolute path of
// the origin it came to, with query and fragment, as a browser itself writes
// them in location.pathname, search and hash. Empty means "/". What lies below
// basePath becomes "/" too, since there is nothing to see there and a login that
// returns to the login has no end.
//
// It returns ErrReturnTo for everything that some browser or proxy may read as
// another origin or as another path (RFC 9700 section 4.11.1, SEC-02).
func ReturnTo(value, basePath string) (string, error) {
	if value == "" {
		return "/", nil
	}
	if len(value) > maxReturnTo || value[0] != '/' || strings.ContainsFunc(value, neverInURL) {
		return "", ErrReturnTo
	}
	u, err := url.Parse(value)
	if err != nil {
		return "", ErrReturnTo
	}
	path := value
	if end := strings.IndexAny(value, "?#"); end >= 0 {
		path = value[:end]
	}
	decoded := u.Path
	// An encoded slash, backslash or control character is one to whoever decodes
	// before he splits. An encoded percent sign is one to whoever decodes twice.
	encoded := strings.Count(decoded, "/") != strings.Count(path, "/") || strings.Contains(decoded, "%")
	if encoded || strings.Contains(path, "//") || strings.ContainsFunc(decoded, isHidden) || hasDotSegment(decoded) {
		return "", ErrReturnTo
	}
	if decoded == basePath || strings.HasPrefix(decoded, basePath+"/") {
		return "/", nil
	}
	return value, nil
}

// neverInURL reports characters that no browser leaves unencoded in the path,
// query or fragment of a location, and the backslash, which browsers read as a
// slash.
func neverInURL(r rune) bool {
	return r <= 0x20 || r >= 0x7f || r == '\\' || r == '"' || r == '<' || r == '>'
}

func isHidden(r rune) bool { return r < 0x20 || r == 0x7f || r == '\\' }

// hasDotSegment reports segments that browsers resolve before they ask, also
// with path parameters, which some servers drop first.
func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		name, _, _ := strings.Cut(segment, ";")
		if name == "." || name == ".." {
			return true
		}
	}
	return false
}
