package web_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/hack/demo/api"
	"github.com/bff-operator/bff-operator/hack/demo/idp"
	"github.com/bff-operator/bff-operator/hack/demo/idp/idptest"
	"github.com/bff-operator/bff-operator/hack/demo/web"

	shop "github.com/bff-operator/bff-operator/config/samples/shop/web"
)

// origin is what the application sees: its own files, the real API, and a sidecar that does what the test wants. The
// real sidecar is tested with this application elsewhere; here it is the application that is tested.
type origin struct {
	*httptest.Server

	mu       sync.Mutex
	loggedIn bool
	failing  int // status for API calls; 0 lets them pass
	token    string
	noCSRF   []string // calls that came without X-CSRF
}

func (o *origin) set(change func(*origin)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(o)
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	files, err := web.New(shop.Files)
	if err != nil {
		t.Fatal(err)
	}
	server := idptest.Start(t, idp.Config{Clients: []idp.Client{{ID: "shop", Secret: "s",
		RedirectURIs: []string{"http://localhost/bff/callback"}, Audience: []string{"shop-api"}}}})
	resource := api.New(api.Config{Issuer: server.Issuer, Audience: "shop-api"})
	o := &origin{token: accessToken(t, server)}
	mux := http.NewServeMux()
	mux.Handle("/", files)
	mux.HandleFunc("/bff/", func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/bff/session":
			if !o.loggedIn {
				_, _ = io.WriteString(w, `{"authenticated":false}`)
				return
			}
			_, _ = io.WriteString(w, `{"authenticated":true,"claims":{"sub":"alice","name":"Alice <b>Liddell</b>"},"expiresIn":43200,"idleExpiresIn":1800}`)
		case "/bff/logout":
			o.loggedIn = false
			fmt.Fprintf(w, `{"logoutURL":"%s/goodbye"}`, o.URL)
		}
	})
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		failing, token := o.failing, o.token
		o.mu.Unlock()
		if failing != 0 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(failing)
			fmt.Fprintf(w, `{"title":"Failure","status":%d,"detail":"The store is away."}`, failing)
			return
		}
		r.Header.Del("Cookie")
		r.Header.Set("Authorization", "Bearer "+token)
		resource.ServeHTTP(w, r)
	})
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (strings.HasPrefix(r.URL.Path, "/bff/") || strings.HasPrefix(r.URL.Path, "/api/")) && r.Header.Get("X-CSRF") != "1" {
			o.set(func(o *origin) { o.noCSRF = append(o.noCSRF, r.URL.Path) })
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

func accessToken(t *testing.T, server *idptest.Server) string {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	client := oauth2.Config{ClientID: "shop", ClientSecret: "s", RedirectURL: "http://localhost/bff/callback", Scopes: []string{"openid"},
		Endpoint: oauth2.Endpoint{AuthURL: server.Issuer + "/authorize", TokenURL: server.Issuer + "/token"}}
	verifier := oauth2.GenerateVerifier()
	location, err := idptest.SignIn(t.Context(), &http.Client{Jar: jar}, client.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)), "alice", "alice-demo-pw")
	if err != nil {
		t.Fatal(err)
	}
	token, err := client.Exchange(t.Context(), location.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	return token.AccessToken
}

func hook(id string) chromedp.CSS { return chromedp.CSS(`[data-testid="` + id + `"]`) }

func TestShopInABrowser(t *testing.T) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is not installed: run make prerequisites")
	}
	o := newOrigin(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	defer cancel()

	var mu sync.Mutex
	var complaints []string
	if err := chromedp.Listen(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *cdplog.EventEntryAdded:
			if e.Entry.Source == cdplog.EntrySourceSecurity {
				complaints = append(complaints, e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, e.ExceptionDetails.Text)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, cdplog.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}

	do := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatal(err)
		}
	}
	read := func(id string) string {
		t.Helper()
		text, err := chromedp.Run(ctx, chromedp.TextContent(hook(id)))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	// await polls, because the page answers when its calls have.
	await := func(id, want string) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for !strings.Contains(read(id), want) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is %q, want %q", id, read(id), want)
			}
			time.Sleep(20 * time.Millisecond) // between polls
		}
	}
	orders := func() int {
		t.Helper()
		n, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.querySelectorAll('[data-testid="orders"] > li').length`))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	// Signed out, on a deep link.
	do(chromedp.Navigate(o.URL+"/orders/A-1?x=1"), chromedp.WaitVisible(hook("login")))
	href, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector('[data-testid="login"]').getAttribute('href')`))
	if err != nil || href != "/bff/login?returnTo=%2Forders%2FA-1%3Fx%3D1" {
		t.Errorf("the login link is %q, %v; want it to lead back here", href, err)
	}

	// Signed in.
	o.set(func(o *origin) { o.loggedIn = true })
	do(chromedp.Navigate(o.URL+"/"), chromedp.WaitVisible(hook("logout")))
	await("token-count", "1")
	if got := read("user"); got != "Alice <b>Liddell</b>" {
		t.Errorf("user is %q: a claim must be shown as text", got)
	}
	for _, id := range []string{"cookie-view", "local-storage", "session-storage"} {
		if got := read(id); got != "empty" {
			t.Errorf("%s is %q", id, got)
		}
	}
	if got := read("api-saw"); got != "Bearer token, no cookie" {
		t.Errorf("the API saw %q", got)
	}
	if got := read("token-jti"); len(got) < 20 {
		t.Errorf("jti is %q", got)
	}
	if got := orders(); got != 3 {
		t.Errorf("%d orders, want 3", got)
	}

	// An order.
	do(chromedp.Click(hook("add-order")))
	await("status", "is placed")
	if got := orders(); got != 4 {
		t.Errorf("%d orders, want 4", got)
	}

	// An outage is not a logout, and passes.
	o.set(func(o *origin) { o.failing = http.StatusServiceUnavailable })
	do(chromedp.Click(hook("call-api")))
	await("status", "The store is away. Try again in a moment.")
	do(chromedp.WaitVisible(hook("logout")))
	o.set(func(o *origin) { o.failing = 0 })
	do(chromedp.Click(hook("call-api")))
	await("status", "The API has answered.")

	// The session is over.
	o.set(func(o *origin) { o.failing = http.StatusUnauthorized; o.loggedIn = false })
	do(chromedp.Click(hook("call-api")))
	await("status", "You have been signed out")
	do(chromedp.WaitVisible(hook("login")))

	// Logout goes where the sidecar says.
	o.set(func(o *origin) { o.failing = 0; o.loggedIn = true })
	do(chromedp.Navigate(o.URL+"/"), chromedp.WaitVisible(hook("logout")), chromedp.Click(hook("logout")), chromedp.WaitVisible(hook("login")))
	location, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.pathname`))
	if err != nil || location != "/goodbye" {
		t.Errorf("after the logout the browser is at %q, %v", location, err)
	}

	mu.Lock()
	defer mu.Unlock()
	if len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
	o.set(func(o *origin) {
		if len(o.noCSRF) > 0 {
			t.Errorf("calls without X-CSRF: %v", o.noCSRF)
		}
	})
}
