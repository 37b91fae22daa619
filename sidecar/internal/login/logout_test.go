package login_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/login"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// The link in logoutURL logs out and goes on to the provider.
func TestLogoutByLink(t *testing.T) {
	w, server := scripted(t, providertest.Behaviour{})
	b := w.browser()
	b.logIn("/")
	link := b.session().LogoutURL
	answer := b.navigate(link, sameOrigin)
	if location := answer.Header.Get("Location"); answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(location, server.Issuer+"/end-session?client_id=shop&") {
		t.Errorf("%s to %q", answer.Status, location)
	}
	if b.sessionCookie() != "" || b.session().Authenticated {
		t.Error("still logged in")
	}
	// RPL-07: a second click.
	answer = b.navigate(link, sameOrigin)
	if location := answer.Header.Get("Location"); answer.StatusCode != http.StatusSeeOther || location != publicURL+"/" {
		t.Errorf("a second click: %s to %q", answer.Status, location)
	}
	w.drain()
}

// GAP-05: nobody but the session's own pages logs out.
func TestLogoutByLinkRefuses(t *testing.T) {
	w, _ := scripted(t, providertest.Behaviour{})
	b, other := w.browser(), w.browser()
	b.logIn("/")
	other.logIn("/")
	link := b.session().LogoutURL
	sid := strings.TrimPrefix(link, "/bff/logout?sid=")
	for name, target := range map[string]string{
		"no sid":              "/bff/logout",
		"empty sid":           "/bff/logout?sid=",
		"another session's":   other.session().LogoutURL,
		"two, one of them is": link + "&sid=x",
		"twice the same":      link + "&sid=" + sid,
		"prefix":              link[:len(link)-1],
		"not decodable":       link + "&x=%zz",
	} {
		t.Run(name, func(t *testing.T) {
			if answer := b.navigate(target, sameOrigin); answer.StatusCode != http.StatusBadRequest {
				t.Errorf("%s", answer.Status)
			}
			w.wantFinished(login.FlowLogout, login.ReasonSID)
			if !b.session().Authenticated {
				t.Error("logged out")
			}
		})
	}
	// COOK-09: from another site the cookie is held back, so this looks like no
	// session. It must not be cleared for that.
	before := b.sessionCookie()
	if answer := b.navigate(link, crossSite); answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != publicURL+"/" {
		t.Errorf("from another site: %s to %q", answer.Status, answer.Header.Get("Location"))
	}
	if b.sessionCookie() != before || !b.session().Authenticated {
		t.Error("another site logged the user out")
	}
	// A GET is for navigations.
	if answer := b.fetch(http.MethodGet, link); answer.StatusCode != http.StatusBadRequest || !b.session().Authenticated {
		t.Errorf("GET by script: %s", answer.Status)
	}
	w.wantNoSecrets(sid)
}

func TestLogoutByForm(t *testing.T) {
	w, server := scripted(t, providertest.Behaviour{})
	b := w.browser()
	b.logIn("/")
	answer := b.do(http.MethodPost, "/bff/logout", sameOrigin, http.Header{
		"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"same-origin"}, "Origin": {publicURL}})
	if answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(answer.Header.Get("Location"), server.Issuer) {
		t.Errorf("%s to %q", answer.Status, answer.Header.Get("Location"))
	}
	if b.session().Authenticated {
		t.Error("still logged in")
	}
	w.drain()
}

// RPL-09, RPL-10, REV-07: the provider has no logout, or is gone. The local one
// works all the same.
func TestLogoutWithoutTheProvidersHelp(t *testing.T) {
	without := func(m map[string]any) {
		delete(m, "end_session_endpoint")
		delete(m, "revocation_endpoint")
	}
	down := providertest.Behaviour{Serve: func(w http.ResponseWriter, r *http.Request) bool {
		http.Error(w, "MARKER", http.StatusServiceUnavailable)
		return true
	}}
	for name, row := range map[string]struct {
		metadata func(map[string]any)
		then     providertest.Behaviour
		home     bool
		revoked  login.Reason
	}{
		"no endpoints": {metadata: without, home: true, revoked: login.OK},
		"down":         {then: down, revoked: "provider_status"},
	} {
		t.Run(name, func(t *testing.T) {
			w, server := scripted(t, providertest.Behaviour{Metadata: row.metadata})
			b := w.browser()
			b.logIn("/")
			cookie := b.sessionCookie()
			server.Behave(row.then)
			answer := b.fetch(http.MethodPost, "/bff/logout")
			var out struct{ LogoutURL string }
			if err := json.NewDecoder(answer.Body).Decode(&out); err != nil || answer.StatusCode != http.StatusOK {
				t.Fatalf("%s, %v", answer.Status, err)
			}
			if (out.LogoutURL == publicURL+"/") != row.home {
				t.Errorf("logoutURL %q", out.LogoutURL)
			}
			if _, err := w.sessions.Find(t.Context(), cookie); err == nil || b.sessionCookie() != "" {
				t.Error("still logged in")
			}
			w.drain()
			w.wantFinished(login.FlowRevocation, row.revoked)
			w.wantNoSecrets()
		})
	}
}

// A session that cannot be ended is not said to be: the cookie stays.
func TestLogoutWithoutStore(t *testing.T) {
	for name, row := range map[string]struct {
		err    error
		reason login.Reason
	}{
		"store away": {fmt.Errorf("find session: %w", session.ErrUnavailable), login.ReasonStoreUnavailable},
		"unreadable": {fmt.Errorf("find session: %w", session.ErrUnreadable), login.ReasonSessionUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := scripted(t, providertest.Behaviour{})
			b := w.browser()
			b.logIn("/")
			cookie := b.sessionCookie()
			link := b.session().LogoutURL
			w.outage.fail(row.err)
			answers := map[string]*http.Response{
				"application/problem+json": b.fetch(http.MethodPost, "/bff/logout"),
				"text/html; charset=utf-8": b.navigate(link, sameOrigin),
			}
			for contentType, answer := range answers {
				if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" || answer.Header.Get("Content-Type") != contentType {
					t.Errorf("%s %v", answer.Status, answer.Header)
				}
			}
			w.wantFinished(login.FlowLogout, row.reason)
			answer := b.fetch(http.MethodGet, "/bff/session")
			if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("session: %s", answer.Status)
			}
			w.wantFinished(login.FlowSession, row.reason)
			if b.sessionCookie() != cookie {
				t.Error("the cookie was cleared")
			}
			w.outage.fail(nil)
			if !b.session().Authenticated {
				t.Error("the session is gone")
			}
		})
	}
}

// A dead cookie is answered like none, and left alone: another tab may just be
// replacing it.
func TestSessionWithDeadCookie(t *testing.T) {
	w, _ := scripted(t, providertest.Behaviour{})
	b := w.browser()
	b.logIn("/")
	cookie := b.sessionCookie()
	sess, err := w.sessions.Find(t.Context(), cookie)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.sessions.End(t.Context(), sess); err != nil {
		t.Fatal(err)
	}
	if s := b.session(); s.Authenticated || s.LogoutURL != "" {
		t.Errorf("%+v", s)
	}
	if b.sessionCookie() != cookie {
		t.Error("the cookie was touched")
	}
}
