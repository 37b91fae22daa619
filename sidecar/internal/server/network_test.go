package server_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
)

// decoded is a part of a JWT.
func decoded(part string) string {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return ""
	}
	return string(text)
}

// behindIngress trusts the test's own ingress, and binds sessions.
func behindIngress(mode string) func(string) string {
	return func(text string) string {
		text = strings.Replace(text, "  session: {", "  trustedProxies: [127.0.0.0/8]\n  session: {binding: {mode: "+mode+"}, ", 1)
		return strings.Replace(text, "application: {", "application: {requireLogin: true, ", 1)
	}
}

// A stolen cookie is of no use on another network: not for calls, not for the
// state of the session, not for its events, not for the page.
func TestSessionIsBoundToItsNetwork(t *testing.T) {
	const home, elsewhere = "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 198.51.100.1"
	for mode, want := range map[string]struct {
		status  int
		code    string
		audited string
	}{
		"Audit":          {200, "", "allowed"},
		"Reauthenticate": {401, "network_changed", "refused"},
		"Terminate":      {401, "session_ended", "ended"},
	} {
		t.Run(mode, func(t *testing.T) {
			p := providertest.Start(t, providertest.Behaviour{})
			w := start(t, setup{instead: p, policy: behindIngress(mode)})
			b := w.newBrowser()
			b.from = home
			b.enter(p)
			for _, path := range []string{"/api/orders", "/bff/session", "/page"} {
				b.from = "X-Forwarded-For: 203.0.113.250, 127.0.0.1" // next door, through two proxies
				if call := b.fetch("GET", path); call.StatusCode != http.StatusOK {
					t.Errorf("%s at home: %s %s", path, call.Status, call.body)
				}
				if path == "/api/orders" && w.api.last(t).Header.Get("X-Forwarded-For") != "203.0.113.250" {
					t.Errorf("the API saw %v", w.api.last(t).Header["X-Forwarded-For"])
				}
				b.from = elsewhere
				call := b.fetch("GET", path)
				if call.StatusCode != want.status || want.code != "" && call.json(t)["code"] != want.code {
					t.Errorf("%s elsewhere: %s %s", path, call.Status, call.body)
				}
				if want.code != "" && call.json(t)["loginURL"] != "/bff/login" {
					t.Errorf("%s: %s", path, call.body)
				}
				if want.code == "session_ended" {
					if b.cookie() != "" {
						t.Errorf("%s: the cookie stays", path)
					}
					b.from = home
					b.enter(p)
				}
			}
			b.from = elsewhere
			if stream := b.open("/bff/events", b.from, "Accept: text/event-stream"); stream.StatusCode != want.status {
				t.Errorf("events: %s", stream.Status)
			}
			if mode != "Terminate" { // there the events have ended it
				b.from = home
				if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
					t.Errorf("back at home: %s %s", call.Status, call.body)
				}
			}
			if n := strings.Count(w.log.String(), `"event":"session_moved"`); n != map[string]int{"Audit": 1, "Reauthenticate": 1, "Terminate": 4}[mode] {
				t.Errorf("audited %d times", n)
			}
			if !strings.Contains(w.log.String(), `"reason":"`+want.audited+`"`) || strings.Contains(w.log.String(), "198.51.100") {
				t.Error("the audit event does not say what came of it, or says where the user is")
			}
			if mode == "Terminate" {
				eventually(t, "the tokens are revoked", func() bool { return p.Count("/revoke") >= 4 })
			}
		})
	}
}

// A page that is opened elsewhere goes to the login, and the new session is of
// the new network.
func TestLoginFromAnotherNetwork(t *testing.T) {
	p := providertest.Start(t, providertest.Behaviour{})
	w := start(t, setup{instead: p, policy: behindIngress("Reauthenticate")})
	b := w.newBrowser()
	b.from = "X-Forwarded-For: 203.0.113.9"
	b.enter(p)
	b.from = "X-Forwarded-For: 198.51.100.1"
	page := b.navigate("/orders?a=%25", "none")
	if page.StatusCode != http.StatusSeeOther || page.Header.Get("Location") != "/bff/login?returnTo=%2Forders%3Fa%3D%2525" {
		t.Fatalf("%s %v", page.Status, page.Header["Location"])
	}
	if page := b.navigate("/50%25", "none"); page.Header.Get("Location") != "/bff/login?returnTo=%2F" {
		t.Errorf("a target that no login takes: %v", page.Header["Location"])
	}
	b.enter(p)
	if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
		t.Errorf("%s %s", call.Status, call.body)
	}
}
