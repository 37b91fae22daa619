package proxy

import (
	"net/http"
	"strings"
	"unicode"
)

// cookiePrefix begins the name of every cookie the sidecar sets: the session's
// and those of pending logins.
const cookiePrefix = "__Host-Http-bff"

// ours says whether a cookie's name is one of the sidecar's. Browsers compare
// prefixes without regard to case, so we do too where it keeps things in.
func ours(name string) bool {
	return len(name) >= len(cookiePrefix) && strings.EqualFold(name[:len(cookiePrefix)], cookiePrefix)
}

// isBlank is what may stand before a name without being part of it: all that any
// reader might leave out. Most of it never gets through net/http's server.
func isBlank(r rune) bool { return r == '=' || unicode.IsSpace(r) }

// withoutOurs removes the sidecar's cookies from a request to the application,
// which keeps its own (BFF-05).
func withoutOurs(h http.Header) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.Trim(pair, " \t") // no more: what is left is sent as it is
			name, _, _ := strings.Cut(pair, "=")
			if pair != "" && !ours(strings.TrimSpace(name)) {
				kept = append(kept, pair)
			}
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = []string{strings.Join(kept, "; ")}
}

// withoutSettingOurs removes the sidecar's names from the cookies that the
// application sets (BFF-06). A cookie without a name comes back as its value
// alone, which may look like one with a name.
func withoutSettingOurs(h http.Header) {
	lines := h["Set-Cookie"]
	var kept []string
	for _, line := range lines {
		pair, _, _ := strings.Cut(line, ";")
		name, _, _ := strings.Cut(strings.TrimLeftFunc(pair, isBlank), "=")
		if !ours(strings.TrimSpace(name)) {
			kept = append(kept, line)
		}
	}
	switch {
	case len(kept) == 0:
		delete(h, "Set-Cookie")
	case len(kept) < len(lines):
		h["Set-Cookie"] = kept
	}
}
