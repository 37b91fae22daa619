package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store/redistest"
)

// loginAt logs in at a provider that asks nobody anything, by a login URL.
func (b *browser) loginAt(p *providertest.Server, login string) answer {
	b.t.Helper()
	away := b.navigate(login, "same-origin")
	if away.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("login: %s %s", away.Status, away.body)
	}
	target, parameters, err := p.SignIn(away.Header.Get("Location"))
	must(b.t, err)
	return b.navigate(target+"?"+parameters.Encode(), "cross-site")
}

// enter is loginAt with success.
func (b *browser) enter(p *providertest.Server) {
	b.t.Helper()
	if landed := b.loginAt(p, "/bff/login?returnTo=/"); landed.StatusCode != http.StatusOK || b.cookie() == "" {
		b.t.Fatalf("callback: %s %s", landed.Status, landed.body)
	}
	b.w.secrets.add("session cookie", b.cookie())
}

// open begins an answer that goes on.
func (b *browser) open(path string, headers ...string) *http.Response {
	b.t.Helper()
	response, err := b.client.Do(b.request("GET", path, append([]string{"Sec-Fetch-Site: same-origin"}, headers...)...))
	must(b.t, err)
	b.t.Cleanup(func() { response.Body.Close() })
	return response
}

// socket opens a WebSocket.
func (b *browser) socket(path string) (net.Conn, *http.Response) {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.client.Transport.(ingress).sidecar)
	must(b.t, err)
	b.t.Cleanup(func() { conn.Close() })
	must(b.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	r := b.request("GET", path, "Connection: Upgrade", "Upgrade: websocket", "Origin: "+publicURL, "Cookie: "+session.CookieName+"="+b.cookie())
	must(b.t, r.Write(conn))
	response, err := http.ReadResponse(bufio.NewReader(conn), r)
	must(b.t, err)
	return conn, response
}

// streaming is an API with a socket and a stream of events that have no end of
// their own.
func streaming(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/api/socket":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	case "/api/events":
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	default:
		_, _ = io.WriteString(w, "{}")
	}
}

func (w *world) post(path string, form url.Values) int {
	w.t.Helper()
	answer, err := http.PostForm("http://"+w.traffic+path, form) // as the provider does: no cookie, no header of ours
	must(w.t, err)
	answer.Body.Close()
	return answer.StatusCode
}

// BCL-22, BCL-12: the provider ends the login at one replica. At the other, all
// streams end, the page hears why, and the next call fails.
func TestBackChannelLogoutReachesEveryReplica(t *testing.T) {
	redis := redistest.StartTCP(t, "--port")
	p := providertest.Start(t, providertest.Behaviour{})
	w := start(t, setup{instead: p, policy: inRedis(redis.TCP, ""), api: streaming})
	first := w.newBrowser()
	first.enter(p)
	b := first.at(w.replica())

	_, upgraded := b.socket("/api/socket")
	calls, own := b.open("/api/events", "X-CSRF: 1"), b.open("/bff/events", "Accept: text/event-stream")
	if upgraded.StatusCode != http.StatusSwitchingProtocols || calls.StatusCode != http.StatusOK || own.StatusCode != http.StatusOK {
		t.Fatalf("%s, %s, %s", upgraded.Status, calls.Status, own.Status)
	}

	logout := p.LogoutToken(nil)
	w.secrets.add("logout token", logout)
	if status := w.post("/bff/backchannel-logout", url.Values{"logout_token": {logout}}); status != http.StatusOK {
		t.Fatalf("back-channel logout: %d", status)
	}
	if _, err := io.Copy(io.Discard, upgraded.Body); err != nil {
		t.Errorf("the socket: %v", err)
	}
	if _, err := io.Copy(io.Discard, calls.Body); err != nil {
		t.Errorf("the API's events: %v", err)
	}
	heard, err := io.ReadAll(own.Body)
	if err != nil || !strings.Contains(string(heard), "event: ended") || !strings.Contains(string(heard), `"reason":"backchannel_logout"`) {
		t.Errorf("the page heard %q, %v", heard, err)
	}
	call := b.fetch("GET", "/api/orders")
	b.expectProblem(call, 401, "session_ended")
	if !strings.Contains(call.body, "The identity provider has ended this login") || b.cookie() != "" {
		t.Errorf("%s, cookie left: %t", call.body, b.cookie() != "")
	}

	// BCL-09: a token that ends all of a user's sessions ends none that began since,
	// at whichever replica it comes again.
	everywhere := url.Values{"logout_token": {p.LogoutToken(func(claims map[string]any) { delete(claims, "sid") })}}
	first.enter(p)
	if status := w.post("/bff/backchannel-logout", everywhere); status != http.StatusOK {
		t.Errorf("back-channel logout of a user: %d", status)
	}
	b.expectProblem(b.fetch("GET", "/api/orders"), 401, "session_ended")
	first.enter(p)
	b.w.post("/bff/backchannel-logout", everywhere)
	if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
		t.Errorf("the same logout token again ended a later session: %s %s", call.Status, call.body)
	}
	if status := w.post("/bff/backchannel-logout", url.Values{"logout_token": {"garbage"}}); status != http.StatusBadRequest {
		t.Errorf("garbage: %d", status)
	}
	_, metrics := w.adminGet("/metrics")
	for _, line := range []string{`bff_logouts_total{flow="backchannel_logout",reason="",result="success"} 2`,
		`bff_sessions_ended_total{reason="backchannel_logout"} 2`, "bff_provider_clock_offset_seconds "} {
		if !strings.Contains(metrics, line) {
			t.Errorf("no metric %s", line)
		}
	}
	if found := w.secrets.in(w.log.String() + metrics); len(found) > 0 {
		t.Errorf("log and metrics saw %v", found)
	}
	if !strings.Contains(w.log.String(), `"event":"backchannel_logout"`) || !strings.Contains(w.log.String(), `"event":"backchannel_logout_failed"`) {
		t.Error("no audit event")
	}
}

// The front channel is closed unless the policy opens it; then iss and sid are
// enough, and no cookie counts.
func TestFrontChannelLogout(t *testing.T) {
	p := providertest.Start(t, providertest.Behaviour{})
	w := start(t, setup{instead: p})
	b := w.newBrowser()
	b.enter(p)
	target := "/bff/frontchannel-logout?" + url.Values{"iss": {p.Issuer}, "sid": {"provider-session"}}.Encode()
	if frame := w.newBrowser().navigate(target, "cross-site"); frame.StatusCode < 400 {
		t.Errorf("closed: %s", frame.Status)
	}
	if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", call.Status, call.body)
	}
	w.writePolicy(strings.Replace(w.policy(), "  session: {", "  logout: {frontChannel: Enabled}\n  session: {", 1))
	eventually(t, "the front channel is open", func() bool { return w.newBrowser().navigate(target, "cross-site").StatusCode == http.StatusOK })
	b.expectProblem(b.fetch("GET", "/api/orders"), 401, "session_ended")
}

// A draining sidecar sends its pages' streams elsewhere, and nothing else.
func TestDrainEndsSessionEvents(t *testing.T) {
	p := providertest.Start(t, providertest.Behaviour{})
	w := start(t, setup{instead: p, api: streaming})
	b := w.newBrowser()
	b.enter(p)
	own := b.open("/bff/events", "Accept: text/event-stream")
	answer, err := http.Post("http://"+w.admin+"/drain", "", nil)
	must(t, err)
	answer.Body.Close()
	if _, err := io.Copy(io.Discard, own.Body); err != nil {
		t.Error(err)
	}
	if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
		t.Errorf("%s %s", call.Status, call.body)
	}
}

// A store that has lost everything logs users out, and says so; one that cannot
// be reached logs nobody out.
func TestStoreForgets(t *testing.T) {
	redis := redistest.Start(t)
	proxy := redistest.NewProxy(t, redis)
	p := providertest.Start(t, providertest.Behaviour{})
	w := start(t, setup{instead: p, policy: inRedis(proxy.Address, "")})
	b := w.newBrowser()
	b.enter(p)
	// In use is what is in memory: a call that asks the store for nothing. What the
	// store tells of the login itself may come just in time to have it asked again.
	loads := func() string {
		_, metrics := w.adminGet("/metrics")
		_, after, _ := strings.Cut(metrics, `bff_store_calls_total{operation="load"} `)
		n, _, _ := strings.Cut(after, "\n")
		return n
	}
	eventually(t, "the session to be in memory", func() bool {
		before := loads()
		if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", call.Status, call.body)
		}
		return loads() == before
	})
	cookie := b.cookie()
	proxy.Cut()
	for range 20 { // more than the store's own patience
		if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK || b.cookie() != cookie {
			t.Fatalf("a session in use, while the store is away: %s %s", call.Status, call.body)
		}
	}
	stranger := w.newBrowser()
	unknown := stranger.fetch("GET", "/api/orders", "Cookie: "+session.CookieName+"="+strings.Repeat("A", 43))
	stranger.expectProblem(unknown, 503, "store_unavailable")
	if len(unknown.Header["Set-Cookie"]) > 0 {
		t.Error("a cookie was touched that nobody could look up")
	}
	proxy.Pass()
	redis.Must(t, "FLUSHALL")
	var call answer
	eventually(t, "the loss is noticed", func() bool {
		call = b.fetch("GET", "/api/orders")
		return call.StatusCode == http.StatusUnauthorized
	})
	b.expectProblem(call, 401, "session_ended")
	if b.cookie() != "" || !strings.Contains(call.body, "does not have it any more") {
		t.Errorf("%s, cookie left: %t", call.body, b.cookie() != "")
	}
	b.enter(p)
	if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
		t.Errorf("after a new login: %s %s", call.Status, call.body)
	}
}
