package proxy

import (
	"net/http"
	"strings"
)

// cookiePrefix begins the name of every cookie the sidecar sets: the session's
// and those of pending logins.
const cookiePrefix = "__Host-Http-bff"

// ours says whether a cookie's name is one of the sidecar's. Browsers compare
// prefixes without regard to case, so we do too where it keeps things in.
func ours(name string) bool {
	return len(name) >= len(cookiePrefix) && strings.EqualFold(name[:len(cookiePrefix)], cookiePrefix)
}

// blank is what net/http leaves out around names. Line breaks never get through
// its server; who reads the header must agree with it all the same.
const blank = " \t\r\n"

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
			pair = strings.Trim(pair, blank)
			name, _, _ := strings.Cut(pair, "=")
			if pair != "" && !ours(strings.Trim(name, blank)) {
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
		name, _, _ := strings.Cut(strings.TrimLeft(pair, "="+blank), "=")
		if !ours(strings.TrimRight(name, blank)) {
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
