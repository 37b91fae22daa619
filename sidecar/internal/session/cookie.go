package session

import (
	"net/http"
	"strings"
)

// CookieName is the session cookie's name. Its prefix makes browsers refuse a
// cookie of this name that is not Secure, has a Domain or another Path, or was
// set by script (RFC 10017 section 6.1.3.2); browsers that do not know
// __Host-Http- still enforce __Host-.
const CookieName = "__Host-Http-bff"

// Cookie carries a session. It ends with the browser at the latest: how long the
// session lives is known to the store alone.
func Cookie(value string) *http.Cookie {
	return &http.Cookie{
		Name:     CookieName,
		Value:    value,
		Path:     "/",
		Secure:   true,
		HttpOnly: true,
		SameSite: http.SameSiteStrictMode,
	}
}

// ExpiredCookie makes a browser forget its session cookie.
func ExpiredCookie() *http.Cookie {
	c := Cookie("")
	c.MaxAge = -1
	return c
}

// blank is what net/http leaves out around names. Line breaks never get through
// its server; who reads the header must agree with it all the same on how many
// cookies of a name there are.
const blank = " \t\r\n"

// CookieFrom returns the value of a request's session cookie. It is not ok when
// there is none, when there are several, equal or not, in one Cookie line or
// over many (RFC 6265 section 4.2.2: their order means nothing, so none can be
// believed), and when the value is not 43 characters of base64url. Names are
// compared byte by byte.
func CookieFrom(r *http.Request) (value string, ok bool) {
	found := 0
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			name, v, _ := strings.Cut(strings.Trim(pair, blank), "=")
			if strings.Trim(name, blank) != CookieName {
				continue
			}
			found++
			value = v
		}
	}
	if found != 1 || !wellFormed(value) {
		return "", false
	}
	return value, true
}
