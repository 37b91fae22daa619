//go:build conformance

package conformance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/leak"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/redis"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/sidecar"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// The names of the world. TLS in front of the sidecar ends at an ingress, which
// the user agent stands in for: it speaks plain HTTP to the sidecar's port and
// behaves as if it were https.
const (
	shopURL      = "https://shop.example.test"
	callbackURL  = shopURL + "/bff/callback"
	siblingURL   = "https://evil.example.test" // another origin of the same site
	attackerURL  = "https://attacker.test"     // another site
	clientID     = "shop"
	cookieName   = "__Host-Http-bff"
	transactions = "__Host-Http-bff-tx-"   // begins the names of the cookies of logins in progress
	chainCookie  = "__Host-Http-bff-chain" // the brake on login loops
)

// world is a sidecar with all there is around it: AS*, RS*, an application, a
// session store and a user agent. It is clean when the test ends, or the test
// fails: see check.
type world struct {
	*testing.T
	AS     *as.Server
	RS     *rs.Server // the API behind /api
	App    *rs.Server // the single-page application
	UA     *ua.Agent
	Store  *redis.Server // nil with a store in memory
	Mounts *sidecar.Mounts
	// Replicas are the running sidecars. The user agent's requests go to Target.
	Replicas []*sidecar.Process
	Leaks    *leak.Set

	setup  *setup
	uid    string
	target atomic.Int64
	agents []*ua.Agent
}

// newWorld builds a world and starts its sidecars.
func newWorld(t *testing.T, options ...option) *world {
	t.Helper()
	w := prepare(t, options...)
	for range w.setup.replicas {
		w.Start()
	}
	return w
}

// prepare builds a world whose sidecars are not started.
func prepare(t *testing.T, options ...option) *world {
	t.Helper()
	s := newSetup(t, options)
	w := &world{T: t, setup: s, Leaks: &leak.Set{}, Mounts: sidecar.NewMounts(t), uid: randomHex(8)}
	s.provider.Leaks = w.Leaks
	t.Cleanup(w.check) // after everything below is stopped
	w.AS = as.Start(t, s.provider)
	w.AS.Change(s.behaviour)
	w.RS = rs.Start(t, s.api)
	w.App = rs.Start(t, rs.Options{Answer: appPage})
	if s.answer == nil {
		w.RS.Answer(w.protected)
	}
	w.Store = sharedStore
	if s.ownStore {
		w.Store = redis.Start(t)
	}
	if s.memory {
		w.Store = nil
	}
	if w.Store != nil {
		t.Cleanup(w.checkStore)
	}
	w.UA = w.NewAgent()
	for name, value := range s.secrets {
		w.Mounts.Secret(t, name, value)
		w.Leaks.Add("mounted secret "+name, value, leak.Nowhere)
	}
	w.Mounts.Policy(t, s.policyText(w))
	return w
}

// NewAgent is another browser.
func (w *world) NewAgent() *ua.Agent {
	a := ua.New(w.T, ua.Options{
		Addresses: w.addressOf, Roots: authority.Pool(),
		Plain: func(host string) bool { return host == hostOf(shopURL) },
	})
	w.agents = append(w.agents, a)
	return a
}

// addressOf is DNS and ingress.
func (w *world) addressOf(hostPort string) string {
	host, _, _ := net.SplitHostPort(hostPort)
	switch host {
	case hostOf(shopURL):
		return w.Replicas[w.target.Load()].Traffic
	case w.setup.provider.Host:
		return w.AS.Address
	}
	return hostPort
}

// Target has all requests go to one replica from now on.
func (w *world) Target(replica int) {
	w.target.Store(int64(replica))
	for _, a := range w.agents {
		a.CloseConnections()
	}
}

// Shop is a URL of the site.
func (w *world) Shop(path string) string { return shopURL + path }

// protected is the default API: it refuses calls without a token that AS* issued
// and that is good, and else tells what arrived.
func (w *world) protected(r *rs.Request) rs.Reply {
	if _, ok := w.AS.TokenInfo(r.Token()); !ok {
		reply := rs.JSON(http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
		reply.Fields = append(reply.Fields, rs.Field{Name: "WWW-Authenticate", Value: `Bearer error="invalid_token"`})
		return reply
	}
	return rs.Echo(r)
}

func appPage(r *rs.Request) rs.Reply {
	return rs.Reply{Fields: []rs.Field{{Name: "Content-Type", Value: "text/html; charset=utf-8"}}, Body: []byte("<!doctype html><title>Shop</title><h1>the application</h1>")}
}

// LoginAt logs an agent in from a page of the site and returns the last page. It
// does not check that it worked.
func (w *world) LoginAt(a *ua.Agent, query string) *ua.Response {
	w.Helper()
	to := w.Shop("/bff/login")
	if query != "" {
		to += "?" + query
	}
	return a.Go(ua.Navigation{URL: to, From: w.Shop("/")})
}

// Login logs the user in, and ends the test if that fails.
func (w *world) Login() *ua.Response {
	w.Helper()
	r := w.LoginAt(w.UA, "")
	if r.Status != http.StatusOK || w.Cookie() == "" {
		w.Fatalf("login ended with %s\n%s", r, w.Logs())
	}
	return r
}

// Cookie is the session cookie the user agent holds, "" if none.
func (w *world) Cookie() string { return w.UA.Jar.Value(cookieName) }

// Call calls the API as the page would, with the header X-CSRF. The path is one
// of the site, such as /api/x.
func (w *world) Call(method, path string) *ua.Response {
	w.Helper()
	return w.UA.Fetch(w.CallOf(method, path))
}

// CallOf is what Call sends, to be changed.
func (w *world) CallOf(method, path string) ua.Call {
	c := ua.Call{Method: method, URL: w.Shop(path), Header: http.Header{"X-Csrf": {"1"}}}
	if method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		c.Header.Set("Content-Type", "application/json")
		c.Body = []byte(`{"a":1}`)
	}
	return c
}

// session is the answer of the session endpoint.
type session struct {
	Authenticated bool           `json:"authenticated"`
	Claims        map[string]any `json:"claims"`
	ExpiresIn     *int64         `json:"expiresIn"`
	IdleExpiresIn *int64         `json:"idleExpiresIn"`
	LogoutURL     string         `json:"logoutURL"`
}

// Session asks who is logged in.
func (w *world) Session() session {
	w.Helper()
	return w.SessionAt(w.UA)
}

// SessionAt asks as another browser.
func (w *world) SessionAt(a *ua.Agent) session {
	w.Helper()
	r := a.Fetch(w.CallOf("GET", "/bff/session"))
	var s session
	if err := json.Unmarshal([]byte(r.Body), &s); err != nil || r.Status != http.StatusOK {
		w.Fatalf("session: %s, %v", r, err)
	}
	return s
}

// Logout logs out by fetch and returns where the page should go.
func (w *world) Logout() string {
	w.Helper()
	r := w.Call("POST", "/bff/logout")
	var answer struct {
		LogoutURL string `json:"logoutURL"`
	}
	if err := json.Unmarshal([]byte(r.Body), &answer); err != nil || r.Status != http.StatusOK {
		w.Fatalf("logout: %s, %v", r, err)
	}
	return answer.LogoutURL
}

// BackChannel has AS* post a logout token to a replica.
func (w *world) BackChannel(token string) (*http.Response, string) {
	w.Helper()
	return w.BackChannelForm(url.Values{"logout_token": {token}})
}

// BackChannelForm posts any form there.
func (w *world) BackChannelForm(form url.Values) (*http.Response, string) {
	w.Helper()
	for _, token := range form["logout_token"] {
		w.Leaks.Add("logout token", token, leak.Nowhere)
	}
	before := w.AS.Registered()
	w.AS.Register(func(c *as.Client) {
		c.BackChannelLogoutURI, c.BackChannelAddress = w.Shop("/bff/backchannel-logout"), w.Replicas[w.target.Load()].Traffic
	})
	defer w.AS.Register(func(c *as.Client) { *c = before })
	response, body, err := w.AS.PostLogout(form)
	if err != nil {
		w.Fatal(err)
	}
	return response, body
}

// Start starts another replica.
func (w *world) Start() *sidecar.Process {
	w.Helper()
	p := sidecar.Start(w.T, binary, w.Mounts)
	w.Replicas = append(w.Replicas, p)
	w.Cleanup(func() { w.checkProcess(p) })
	return p
}

// WantNoStart checks that a sidecar refuses to start and says why in words that
// contain all of the given.
func (w *world) WantNoStart(why ...string) {
	w.Helper()
	p, err := sidecar.Try(w.T, binary, w.Mounts)
	w.Replicas = append(w.Replicas, p) // for the leak scan
	if !errors.Is(err, sidecar.ErrEnded) {
		w.Errorf("the sidecar has not refused to start: %v", err)
		return
	}
	for _, word := range why {
		if !strings.Contains(p.Logs(), word) {
			w.Errorf("the sidecar does not say %q but: %s", word, p.Logs())
		}
	}
}

// Logs are those of all replicas.
func (w *world) Logs() string {
	var all strings.Builder
	for _, p := range w.Replicas {
		all.WriteString(p.Logs())
	}
	return all.String()
}

// Rejected is how many log records so far carry a reason.
func (w *world) Rejected(reason string) int {
	n := 0
	for _, p := range w.Replicas {
		for _, record := range p.Records() {
			if record["reason"] == reason {
				n++
			}
		}
	}
	return n
}

// Dump is what the store holds of this world's policy.
func (w *world) Dump() string {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	text, err := w.Store.Dump(ctx, "bff:{"+w.uid+"}:")
	if err != nil {
		w.Fatalf("read the store: %v", err)
	}
	return text
}

// Eventually polls until ok, and ends the test after 15 s.
func (w *world) Eventually(what string, ok func() bool) {
	w.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("never happened: %s", what)
		}
	}
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err) // a constant of this file
	}
	return u.Hostname()
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// withCookie is a call with another session cookie than the browser's.
func withCookie(call ua.Call, value string) ua.Call {
	call.Header.Set("Cookie", cookieName+"="+value)
	return call
}
