package login_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
)

// A page that asks for a login as soon as it comes back from one is stopped, and
// the person can go on.
func TestLoginLoopIsStopped(t *testing.T) {
	for name, row := range map[string]struct {
		s          setup
		parameters url.Values
		refused    bool
	}{
		"logins that succeed":          {setup{}, url.Values{"returnTo": {"/orders"}}, false},
		"OIDC-14 silent, nobody there": {allowing("prompt"), url.Values{"returnTo": {"/orders"}, "prompt": {"none"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w, server := scripted(t, row.s)
			if row.refused {
				server.Behave(refusing("login_required"))
			}
			b := w.browser()
			round := func() bool {
				answer := b.navigate("/bff/login?"+row.parameters.Encode(), sameOrigin)
				if answer.StatusCode == http.StatusTooManyRequests {
					body := bodyOf(answer)
					if again := "/bff/login?" + row.parameters.Encode(); !strings.Contains(strings.ReplaceAll(body, "&amp;", "&"), `href="`+again+`"`) || refresh.MatchString(body) {
						t.Errorf("the page helps nobody: %s", body)
					}
					w.wantFinished(flow.Login, flow.ReasonLoop)
					return false
				}
				location, err := answer.Location()
				if err != nil {
					t.Fatalf("%s %s", answer.Status, bodyOf(answer))
				}
				bounceOf(t, b.navigate(b.throughScripted(location), crossSite))
				return true
			}
			for range 2 { // the link on the page begins another chain
				rounds := 0
				for rounds < 20 && round() {
					rounds++
				}
				if rounds != 5 {
					t.Errorf("stopped after %d logins, want 5", rounds)
				}
			}
		})
	}
}

func TestLoginLoopForScripts(t *testing.T) {
	w, _ := scripted(t, setup{})
	b := w.browser()
	for range 5 {
		b.logIn("/")
	}
	answer := b.do(http.MethodGet, "/bff/login", sameOrigin, http.Header{"Accept": {"*/*"}})
	if body := bodyOf(answer); answer.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, `"login_loop"`) {
		t.Errorf("%s %s", answer.Status, body)
	}
}

// Neither tabs side by side nor a user who works in between is a loop.
func TestNoLoginLoop(t *testing.T) {
	w, _ := scripted(t, setup{})
	b := w.browser()
	for range 3 {
		var tabs []*url.URL
		for range 8 {
			tabs = append(tabs, b.begin("/"))
		}
		for _, authorization := range tabs {
			if answer := b.navigate(b.throughScripted(authorization), crossSite); answer.StatusCode != http.StatusOK {
				t.Fatalf("%s", answer.Status)
			}
		}
	}
	b = w.browser()
	for range 10 {
		b.logIn("/")
		w.advance(31 * time.Second)
	}
}
