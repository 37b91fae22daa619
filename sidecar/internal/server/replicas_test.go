package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store/redistest"
)

// replica is another sidecar of the same policy.
func (w *world) replica() *world {
	w.t.Helper()
	other := &world{t: w.t, dir: w.dir, provider: w.provider, issuer: w.issuer, secrets: w.secrets, api: w.api, app: w.app, log: &buffer{}, clock: w.clock}
	other.run()
	return other
}

// at has the browser's requests go to another replica.
func (b *browser) at(w *world) *browser {
	client := *b.client
	client.Transport = ingress{w.traffic}
	return &browser{w: w, t: b.t, client: &client}
}

func inRedis(address, more string) func(string) string {
	return func(policy string) string {
		return strings.Replace(policy, "{type: Memory}", fmt.Sprintf("{type: Redis, redis: {address: %q%s}}", address, more), 1)
	}
}

// BFF-14: replicas share sessions, and a logout is seen by all.
func TestReplicasShareSessions(t *testing.T) {
	redis := redistest.StartTCP(t, "--port")
	w := start(t, setup{policy: inRedis(redis.TCP, "")})
	b := w.newBrowser()
	b.login()
	other := b.at(w.replica())
	if call := other.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
		t.Fatalf("at the other replica: %s %s", call.Status, call.body)
	}
	old := "Cookie: " + session.CookieName + "=" + b.cookie()
	other.fetch("POST", "/bff/logout")
	b.expectProblem(w.newBrowser().fetch("GET", "/api/orders", old), 401, "session_ended")
}

// A restart loses nothing: neither sessions nor logins that are under way.
func TestRestartLosesNothing(t *testing.T) {
	redis := redistest.StartTCP(t, "--port")
	w := start(t, setup{policy: inRedis(redis.TCP, "")})
	b := w.newBrowser()
	b.login()
	c := w.newBrowser()
	away := c.navigate("/bff/login", "none")
	must(t, w.end())
	w.run()
	if call := b.at(w).fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
		t.Errorf("the session: %s %s", call.Status, call.body)
	}
	if !signedIn(t, c.at(w), away.Header.Get("Location")) {
		t.Error("the login that was under way is lost")
	}
}

// The store goes away and comes back. Nobody is logged out by that.
func TestStoreComesBack(t *testing.T) {
	proxy := redistest.NewProxy(t, redistest.Start(t))
	w := start(t, setup{policy: inRedis(proxy.Address, "")})
	b := w.newBrowser()
	b.login()
	cookie := b.cookie()
	proxy.Cut()
	eventually(t, "the store is missed", func() bool {
		a := b.fetch("GET", "/api/orders")
		return a.StatusCode == http.StatusServiceUnavailable && a.json(t)["code"] == "store_unavailable"
	})
	if b.cookie() != cookie {
		t.Error("the cookie was touched")
	}
	proxy.Pass()
	eventually(t, "the session is there again", func() bool { return b.fetch("GET", "/api/orders").StatusCode == http.StatusOK })
}

// A rotated store password is used without a restart.
func TestStorePasswordRotates(t *testing.T) {
	redis := redistest.Start(t)
	redis.Must(t, "ACL", "SETUSER", "bff", "on", ">first", "~*", "+@all")
	proxy := redistest.NewProxy(t, redis)
	policy := inRedis(proxy.Address, ", username: bff, passwordSecretRef: {name: valkey, key: password}")
	w := start(t, setup{policy: policy, secrets: map[string]string{"valkey/password": "first\n"}})
	w.secrets.add("store password", "second")
	b := w.newBrowser()
	b.login()

	redis.Must(t, "ACL", "SETUSER", "bff", "resetpass", ">second")
	w.writeSecret("valkey/password", "second\n")
	proxy.Break()
	eventually(t, "the new password is used", func() bool { return b.fetch("GET", "/api/orders").StatusCode == http.StatusOK })
	if found := w.secrets.in(w.log.String()); len(found) > 0 {
		t.Errorf("the log saw %v", found)
	}
}
