package login_test

import (
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// site is the application's origin as a real browser sees it, and what it set
// there.
type site struct {
	*httptest.Server

	mu       sync.Mutex
	sessions []string // values of the session cookie, oldest first
	pending  int      // the most pending logins that one request showed
}

func newSite(t *testing.T, w *world) *site {
	t.Helper()
	s := &site{}
	mux := http.NewServeMux()
	mux.Handle("/bff/", w.mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><h1 id="landed">Orders</h1>`)
	})
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.pending = max(s.pending, strings.Count(r.Header.Get("Cookie"), "__Host-Http-bff-tx-"))
		s.mu.Unlock()
		mux.ServeHTTP(w, r)
		for _, cookie := range (&http.Response{Header: w.Header()}).Cookies() {
			if cookie.Name == session.CookieName && cookie.Value != "" {
				s.mu.Lock()
				s.sessions = append(s.sessions, cookie.Value)
				s.mu.Unlock()
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) made() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.sessions...)
}

// chromium runs a browser that finds the application at publicURL.
func chromium(t *testing.T, s *site) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is not installed: run make prerequisites")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("host-resolver-rules", "MAP shop.example.com "+s.Listener.Addr().String()))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func open(ctx context.Context, t *testing.T, address, shows string) {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS(shows))); err != nil {
		t.Fatal(err)
	}
}

// COOK-07, COOK-08, OIDC-16 in a real browser, for both ways back: another site
// posts a form that asks for a login, the provider, which is another site too,
// sends the browser back, and the browser lands with a session it can use. Once
// more, and it lands with the same session (GAP-04).
func TestInChromium(t *testing.T) {
	for _, mode := range []v1alpha1.ResponseMode{v1alpha1.ResponseModeQuery, v1alpha1.ResponseModeFormPost} {
		t.Run(string(mode), func(t *testing.T) {
			w, server := scripted(t, setup{responseMode: mode})
			s := newSite(t, w)
			elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				fmt.Fprintf(w, `<!doctype html><form method="post" action="%s/bff/login">`+
					`<input name="iss" value="%s"><input name="target_link_uri" value="%[1]s/orders?page=2"></form><script>document.forms[0].submit()</script>`,
					publicURL, html.EscapeString(server.Issuer))
			}))
			t.Cleanup(elsewhere.Close)
			ctx := chromium(t, s)
			for round := 1; round <= 2; round++ {
				open(ctx, t, elsewhere.URL, "#landed")
				landed, err := chromedp.Run(ctx, chromedp.Location())
				if err != nil {
					t.Fatal(err)
				}
				state, err := chromedp.Run(ctx, chromedp.Evaluate[string](
					`fetch("/bff/session", {headers: {"X-CSRF": "1"}}).then(r => r.text())`, chromedp.EvalAwaitPromise))
				if err != nil {
					t.Fatal(err)
				}
				if landed != publicURL+"/orders?page=2" || !strings.Contains(state, `"authenticated":true`) {
					t.Errorf("round %d: at %s, %s", round, landed, state)
				}
			}
			made := s.made()
			if len(made) != 1 {
				t.Fatalf("%d session cookies were made, want one", len(made))
			}
		})
	}
}

// GAP-04 in a real browser: another site that posts logins over and over fills
// nothing up, although a browser shows a cross-site POST no pending login.
func TestForcedLoginsInChromium(t *testing.T) {
	w, server := scripted(t, setup{})
	s := newSite(t, w)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><form method="post" action="%s/bff/login"><input name="iss" value="%s"></form><script>document.forms[0].submit()</script>`,
			publicURL, html.EscapeString(server.Issuer))
	}))
	t.Cleanup(elsewhere.Close)
	// The provider asks the user, who does not answer.
	server.Behave(asking())
	ctx := chromium(t, s)
	for range 12 {
		open(ctx, t, elsewhere.URL, "#asking")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != 8 {
		t.Errorf("%d pending logins at most, want 8", s.pending)
	}
}
