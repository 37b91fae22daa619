package idp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/hack/demo/idp"
	"github.com/bff-operator/bff-operator/hack/demo/idp/idptest"
)

// A person with a keyboard and without JavaScript gets through the login page, also past a wrong password, and the
// page's policy lets the browser go back to a client on another site.
func TestLoginPageInABrowser(t *testing.T) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is not installed: run make prerequisites")
	}
	var mu sync.Mutex
	var arrived []string
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bff/callback" {
			mu.Lock()
			arrived = append(arrived, r.URL.RawQuery)
			mu.Unlock()
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<link rel="icon" href="data:,"><p id="landed">landed</p>`))
	}))
	defer client.Close()
	// localhost and 127.0.0.1 are different sites on one machine.
	callback := strings.Replace(client.URL, "127.0.0.1", "localhost", 1) + "/bff/callback"
	registered := shop
	registered.RedirectURIs = []string{callback}
	server := idptest.Start(t, idp.Config{Clients: []idp.Client{registered}})
	oauth := oauth2.Config{ClientID: "shop", RedirectURL: callback, Scopes: []string{"openid"},
		Endpoint: oauth2.Endpoint{AuthURL: server.Issuer + "/authorize"}}

	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	defer cancel()

	var violations []string
	if err := chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*cdplog.EventEntryAdded); ok && e.Entry.Source == cdplog.EntrySourceSecurity {
			mu.Lock()
			violations = append(violations, e.Entry.Text)
			mu.Unlock()
		}
	}); err != nil {
		t.Fatal(err)
	}

	if _, err := chromedp.Call(ctx, cdplog.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	// The tab of a headless browser has the focus only if told so.
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx,
		chromedp.Navigate(oauth.AuthCodeURL("s-1", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))),
		chromedp.WaitReady(chromedp.CSS("#username:focus")),
		chromedp.KeyEvent("alice"+kb.Tab+"guess"+kb.Enter),
		chromedp.WaitReady(chromedp.CSS("[role=alert]")),
	); err != nil {
		t.Fatal(err)
	}
	failure, err := chromedp.Run(ctx, chromedp.TextContent(chromedp.CSS("[role=alert]")))
	if err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx,
		chromedp.WaitReady(chromedp.CSS("#password:focus")), // the name is kept
		chromedp.KeyEvent("alice-demo-pw"+kb.Enter),
		chromedp.WaitReady(chromedp.CSS("#landed")),
	); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if failure != "Wrong username or password." {
		t.Errorf("the page says %q", failure)
	}
	if len(arrived) != 1 || !strings.Contains(arrived[0], "code=") || !strings.Contains(arrived[0], "state=s-1") {
		t.Errorf("%d arrivals at the client, want one with a code", len(arrived))
	}
	if len(violations) > 0 {
		t.Errorf("the browser complains: %q", violations)
	}
}
