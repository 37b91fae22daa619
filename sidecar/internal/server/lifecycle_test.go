package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/admin"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
)

// A policy changes under a session in use: the session stays, the change holds.
func TestPolicyChangesWhileInUse(t *testing.T) {
	w := start(t, setup{})
	b := w.newBrowser()
	b.login()
	if page := b.fetch("GET", "/v2/orders"); page.body != "<!doctype html>the page" {
		t.Fatalf("before: %s", page.body)
	}
	w.writePolicy(strings.Replace(w.policy(), "{name: api, path: /api,", "{name: api, path: /v2,", 1))
	eventually(t, "the new route is in force", func() bool { return b.fetch("GET", "/v2/orders").body == `{"path":"/v2/orders"}` })
	if page := b.fetch("GET", "/api/orders"); page.body != "<!doctype html>the page" {
		t.Errorf("the old route is still there: %s", page.body)
	}
}

// The policy names another provider from now on. It gets nothing of the one
// before: no token is sent to it, neither to be renewed nor to be revoked.
func TestProviderChangesWhileInUse(t *testing.T) {
	one, other := providertest.Start(t, providertest.Behaviour{}), providertest.Start(t, providertest.Behaviour{})
	w := start(t, setup{instead: one})
	b := w.newBrowser()
	b.enter(one)
	if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", call.Status, call.body)
	}
	w.issuer = other.Issuer
	w.writePolicy(w.policy())
	w.clock.advance(2 * time.Minute) // a refresh is due
	calls := len(w.api.requests())
	eventually(t, "the old session is over", func() bool {
		fresh := w.newBrowser()
		fresh.client.Jar = b.client.Jar
		call := fresh.fetch("GET", "/bff/session")
		return call.StatusCode == http.StatusOK && call.json(t)["authenticated"] == false
	})
	b.expectProblem(b.fetch("GET", "/api/orders"), 401, "session_ended")
	b.fetch("POST", "/bff/logout")
	if n := len(other.Requests()); n > 0 || len(w.api.requests()) > calls {
		t.Errorf("the other provider got %d requests, the API %d", n, len(w.api.requests())-calls)
	}
	b.enter(other)
	if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
		t.Errorf("%s %s", call.Status, call.body)
	}
}

// A rotated client secret is used without a restart.
func TestClientSecretRotates(t *testing.T) {
	w := start(t, setup{clientSecret: "wrong"})
	w.secrets.add("client secret", clientSecret)
	b := w.newBrowser()
	login := func() bool {
		c := w.newBrowser()
		away := c.navigate("/bff/login", "none")
		return away.StatusCode == http.StatusSeeOther && signedIn(t, c, away.Header.Get("Location"))
	}
	if login() {
		t.Fatal("logged in with a wrong secret")
	}
	w.writeSecret("shop-oidc/client-secret", clientSecret)
	eventually(t, "the login works", login)
	b.login()
}

// What is mounted is nonsense. What was in force stays, and everybody who wants
// to know can.
func TestBadPolicyIsReported(t *testing.T) {
	w := start(t, setup{})
	b := w.newBrowser()
	b.login()
	w.writePolicy(strings.Replace(w.policy(), "publicURL: https", "publicURL: http", 1))
	eventually(t, "the status tells", func() bool {
		_, status := w.adminGet("/status")
		return strings.Contains(status, "publicURL: must use https")
	})
	if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
		t.Errorf("%s %s", call.Status, call.body)
	}
	if _, metrics := w.adminGet("/metrics"); !strings.Contains(metrics, "bff_config_last_reload_successful 0") {
		t.Error("no metric tells")
	}
	if code, _ := w.adminGet("/readyz"); code != http.StatusOK {
		t.Error("not ready: every pod of the policy would go at once")
	}
	w.writePolicy(w.policy())
	eventually(t, "the status is good again", func() bool {
		_, metrics := w.adminGet("/metrics")
		return strings.Contains(metrics, "bff_config_last_reload_successful 1")
	})
}

// Sessions are kept in another place from now on. Requests under way are not
// disturbed by that.
func TestStoreChangesWhileInUse(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	w := start(t, setup{api: func(rw http.ResponseWriter, _ *http.Request) {
		if once.CompareAndSwap(false, true) {
			close(arrived)
			<-release
		}
		_, _ = rw.Write([]byte("done"))
	}})
	b := w.newBrowser()
	b.login()
	done := make(chan answer)
	go func() { done <- b.fetch("GET", "/api/slow") }()
	<-arrived
	w.writePolicy(strings.Replace(w.policy(), "uid: 7f4b", "uid: other", 1))
	eventually(t, "the old session is unknown", func() bool {
		other := w.newBrowser()
		other.client.Jar = b.client.Jar
		return other.fetch("GET", "/api/orders").StatusCode == http.StatusUnauthorized
	})
	close(release)
	if a := <-done; a.StatusCode != http.StatusOK || a.body != "done" {
		t.Errorf("the request under way: %s %s", a.Status, a.body)
	}
}

func TestStatus(t *testing.T) {
	w := start(t, setup{})
	var s admin.Status
	eventually(t, "everything is found", func() bool {
		_, body := w.adminGet("/status")
		must(t, json.Unmarshal([]byte(body), &s))
		return s.Provider.Ready
	})
	if s.Version != "test" || s.Policy != (admin.PolicyStatus{Name: "shop", Namespace: "web", UID: "7f4b", Generation: 3}) ||
		s.Provider.ClockOffset == "" || len(s.Configuration.Hash) != 12 || s.Configuration.Error != "" || !s.Store.Ready || s.Store.Type != "Memory" || s.Draining {
		t.Errorf("%+v", s)
	}
}

// A draining sidecar is not ready and serves on; each answer asks the client to
// go elsewhere.
func TestDrain(t *testing.T) {
	w := start(t, setup{})
	b := w.newBrowser()
	b.login()
	if code, _ := w.adminGet("/readyz"); code != http.StatusOK {
		t.Fatal("not ready")
	}
	must(t, admin.Drain(t.Context(), w.admin, time.Millisecond))
	if code, body := w.adminGet("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "draining") {
		t.Errorf("ready while draining: %s", body)
	}
	if code, _ := w.adminGet("/livez"); code != http.StatusOK {
		t.Error("not alive while draining")
	}
	for _, path := range []string{"/api/orders", "/page", "/bff/session"} {
		if a := b.fetch("GET", path); a.StatusCode != http.StatusOK || !a.Close {
			t.Errorf("%s: %s, close: %t", path, a.Status, a.Close)
		}
	}
	if _, status := w.adminGet("/status"); !strings.Contains(status, `"draining": true`) {
		t.Error("the status does not tell")
	}
}

// Told to end, the sidecar lets a request finish that is about to.
func TestEndWaitsAMoment(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	w := start(t, setup{api: func(rw http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = rw.Write([]byte("done"))
	}})
	b := w.newBrowser()
	b.login()
	done := make(chan answer)
	go func() { done <- b.fetch("GET", "/api/slow") }()
	<-arrived
	w.stop()
	eventually(t, "no new connection is taken", func() bool {
		_, err := http.Get("http://" + w.traffic + "/")
		return err != nil
	})
	close(release)
	if a := <-done; a.body != "done" {
		t.Errorf("%s %s", a.Status, a.body)
	}
}

// listen opens a stream of the session's events.
func (b *browser) listen() *http.Response {
	b.t.Helper()
	return b.open("/bff/events", "Accept: text/event-stream")
}

// However often the policy changes, a session has no more streams than it may.
func TestStreamsAreBoundedAcrossChanges(t *testing.T) {
	p := providertest.Start(t, providertest.Behaviour{})
	w := start(t, setup{instead: p})
	b := w.newBrowser()
	b.enter(p)
	open := 0
	for b.listen().StatusCode == http.StatusOK {
		if open++; open > 100 {
			t.Fatal("there is no bound")
		}
	}
	w.writePolicy(strings.Replace(w.policy(), "{name: api, path: /api,", "{name: api, path: /v2,", 1))
	eventually(t, "the new route is in force", func() bool { return b.fetch("GET", "/v2/orders").body == `{"path":"/v2/orders"}` })
	if again := b.listen(); again.StatusCode != http.StatusTooManyRequests {
		t.Errorf("one more than %d streams: %s", open, again.Status)
	}
}

// With another provider, or another store, there are other sessions. Whoever
// listened to one of before hears no more of it, and asks again.
func TestStreamsEndWithTheSessionsOfAPolicy(t *testing.T) {
	one, other := providertest.Start(t, providertest.Behaviour{}), providertest.Start(t, providertest.Behaviour{})
	w := start(t, setup{instead: one})
	b := w.newBrowser()
	b.enter(one)
	stream := b.listen()
	if stream.StatusCode != http.StatusOK {
		t.Fatal(stream.Status)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, stream.Body)
		ended <- err
	}()
	w.issuer = other.Issuer
	w.writePolicy(w.policy())
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the stream ended with %v", err)
		}
	case <-time.After(15 * time.Second):
		t.Fatal("the stream goes on")
	}
	if again := b.listen(); again.StatusCode != http.StatusUnauthorized {
		t.Errorf("afterwards: %s", again.Status)
	}
}
