package proxy_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// GAP-08: no cache that is shared keeps an answer that depends on the session,
// whatever the upstream says, whose request was another one.
func TestCacheControl(t *testing.T) {
	for said, want := range map[string]string{
		"":                        "no-store",
		"max-age=60":              "max-age=60, private",
		"no-cache":                "no-cache, private",
		"Private, max-age=60":     "Private, max-age=60",
		"max-age=1, No-Store":     "max-age=1, No-Store",
		"public, max-age=60":      "max-age=60, private",
		"s-maxage=5":              "private",
		`private="x-user"`:        `private="x-user", private`,
		"must-revalidate, x=\"\"": "must-revalidate, x=\"\", private",
		"public":                  "private",
		// What stands in a quoted string is no directive.
		`max-age=60, x="a, private, b"`:                  `max-age=60, x="a, private, b", private`,
		`x="a, no-store"`:                                `x="a, no-store", private`,
		`x="a\", no-store, b", max-age=60`:               `x="a\", no-store, b", max-age=60, private`,
		`no-cache="x-user, public", public`:              `no-cache="x-user, public", private`,
		`max-age=60, x="never closed, private, no-store`: "no-store",
		"s-maxage = 5, PUBLIC , max-age=60":              "max-age=60, private",
	} {
		u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
			if said != "" {
				w.Header().Set("Cache-Control", said)
			}
		})
		r := newRig(t, parts{upstream: u.URL})
		if got := strings.Join(r.do(r.call("GET", "/api")).Header["Cache-Control"], "|"); got != want {
			t.Errorf("%q became %q, want %q", said, got, want)
		}
	}
}

// GAP-08: caches in front obey headers of their own before Cache-Control (RFC
// 9213). None reaches them, neither from a route nor from an application behind
// a login.
func TestNoHeaderInvitesASharedCache(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Surrogate-Control", "X-Accel-Expires", "Edge-Control"} {
			w.Header().Set(name, "max-age=600")
		}
		w.Header().Set("Cache-Control", "public, max-age=600")
		w.Header().Set("Vary", "Accept")
	})
	for target, r := range map[string]*rig{
		"/api":  newRig(t, parts{upstream: u.URL}),
		"/page": newRig(t, parts{upstream: "http://127.0.0.1:1", application: strings.TrimPrefix(u.URL, "http://"), requireLogin: true}),
	} {
		answer := r.do(r.call("GET", target))
		for name, values := range answer.Header {
			if slices.Contains(values, "max-age=600") {
				t.Errorf("%s: %s: %q", target, name, values)
			}
		}
		if got := answer.Header["Vary"]; !slices.Equal(got, []string{"Accept", "Cookie"}) || answer.Header.Get("Cache-Control") != "max-age=600, private" {
			t.Errorf("%s: %v", target, answer.Header)
		}
	}
}
