package proxy

import (
	"net/http"
	"strings"
)

// private makes a caller's answer private to its caller (GAP-08). Upstream, the
// call carried Authorization, which keeps shared caches away unless the answer
// invites them (RFC 9111 section 3.5). On its way to the browser it carries a
// cookie, which keeps nobody away: so what went without saying is said,
// otherwise where the upstream said nothing, and an invitation is withdrawn.
func private(h http.Header, otherwise []string) {
	for name := range h {
		if forSharedCaches(name) {
			delete(h, name)
		}
	}
	said := strings.Join(h["Cache-Control"], ",")
	if said == "" {
		h["Cache-Control"] = otherwise
	} else {
		h["Cache-Control"] = []string{withdrawn(said)}
	}
	if vary := h["Vary"]; len(vary) > 0 {
		h["Vary"] = append(vary[:len(vary):len(vary)], "Cookie")
	} else {
		h["Vary"] = byCookie
	}
}

// forSharedCaches says whether a header speaks to shared caches alone, which
// obey it before Cache-Control (RFC 9213 and what there was before it). The name
// is canonical.
func forSharedCaches(name string) bool {
	switch name {
	case "Surrogate-Control", "Edge-Control", "X-Accel-Expires":
		return true
	}
	const targeted = "-Cache-Control" // CDN-Cache-Control, and those of single vendors
	return len(name) > len(targeted) && strings.EqualFold(name[len(name)-len(targeted):], targeted)
}

// withdrawn is what was said to caches without what is meant for shared ones.
// What cannot be read is stored by nobody.
func withdrawn(said string) string {
	var kept []string
	closed := false
	for rest := said; rest != ""; {
		var directive string
		var ok bool
		if directive, rest, ok = cutDirective(rest); !ok {
			return "no-store"
		}
		name, _, named := strings.Cut(directive, "=")
		switch strings.ToLower(strings.Trim(name, " \t")) {
		case "public", "s-maxage", "proxy-revalidate", "":
			continue
		case "no-store", "private":
			closed = closed || !named // a private with names concerns those fields only
		}
		kept = append(kept, directive)
	}
	if !closed {
		kept = append(kept, "private")
	}
	return strings.Join(kept, ", ")
}

// cutDirective cuts a list's first directive off. A comma in a quoted string
// parts nothing (RFC 9111 section 5.2, RFC 9110 section 5.6.4). It is not ok if
// such a string has no end.
func cutDirective(list string) (directive, rest string, ok bool) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			return strings.Trim(list[:i], " \t"), list[i+1:], true
		}
	}
	return strings.Trim(list, " \t"), "", !quoted
}

// What is said where nothing was. They are shared and never changed.
var (
	noStore    = []string{"no-store"}
	revalidate = []string{"private, no-cache"}
	byCookie   = []string{"Cookie"}
)
