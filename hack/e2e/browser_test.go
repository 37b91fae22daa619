//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"

	"github.com/bff-operator/bff-operator/hack/stage"
)

// browser is a real Chromium with an empty profile that writes down all it
// sends and receives.
type browser struct {
	t          *testing.T
	ctx        context.Context
	transcript *transcript
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	// The forwards are started again when a test before this one replaced a pod.
	waiting, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := stage.WaitForAnswers(waiting, stage.Forwards); err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1280, 1000),
		chromedp.NoSandbox, // the tests run as root
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stopAllocator)
	ctx, stop := chromedp.NewContext(allocator)
	t.Cleanup(stop)

	b := &browser{t: t, ctx: ctx, transcript: newTranscript()}
	// No deadline here: the browser lives as long as the context of this first call.
	if err := b.transcript.record(ctx); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return b
}

// do runs actions, each group with a deadline and a name for its failure.
func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	get(b, what, chromedp.Steps(steps...))
}

// get is do for an action that returns something.
func get[T any](b *browser, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		b.screenshot("failure")
		b.t.Fatalf("%s: %v", what, err)
	}
	return value
}

// logIn goes from the shop's page through the identity provider's and back.
func (b *browser) logIn(user string) {
	b.t.Helper()
	b.do("open the shop, logged out", chromedp.Navigate(stage.ShopURL), chromedp.WaitVisible(testID("login")))
	b.do("go to the identity provider", chromedp.Click(testID("login")), chromedp.WaitVisible(chromedp.CSS("#username")))
	if at := b.location(); len(at) < len(stage.IssuerURL) || at[:len(stage.IssuerURL)] != stage.IssuerURL {
		b.t.Fatalf("the browser logs in at %s, want a page of %s", at, stage.IssuerURL)
	}
	b.do("log in",
		chromedp.SendKeys(chromedp.CSS("#username"), user),
		chromedp.SendKeys(chromedp.CSS("#password"), user+"-demo-pw"),
		chromedp.Submit(chromedp.CSS("#password")),
		chromedp.WaitVisible(testID("logout")))
}

func (b *browser) location() string {
	b.t.Helper()
	return get(b, "read the location", chromedp.Location())
}

func (b *browser) text(id string) string {
	b.t.Helper()
	return get(b, "read "+id, chromedp.Text(testID(id), chromedp.NodeVisible))
}

// script runs JavaScript in the page, as an attacker who got script into it
// could, and returns the string it evaluates to, or promises.
func (b *browser) script(source string) string {
	b.t.Helper()
	return get(b, "run in the page: "+source, chromedp.Evaluate[string](source, chromedp.EvalAwaitPromise))
}

// cookies are all cookies of the profile, HttpOnly ones too.
func (b *browser) cookies() []*network.Cookie {
	b.t.Helper()
	return get(b, "read the cookie jar", func(ctx context.Context, t *chromedp.Target) ([]*network.Cookie, error) {
		jar, err := cdp.Call(ctx, t, storage.GetCookies, storage.GetCookiesParams{})
		return jar.Cookies, err
	})
}

// screenshot keeps a picture for people, in E2E_SCREENSHOTS if that is set.
func (b *browser) screenshot(name string) {
	dir := os.Getenv("E2E_SCREENSHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Logf("take screenshot %s: %v", name, err)
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Logf("make folder for screenshots: %v", err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		b.t.Logf("write screenshot %s: %v", name, err)
	}
}

func testID(id string) chromedp.CSS { return chromedp.CSS(fmt.Sprintf("[data-testid=%q]", id)) }
