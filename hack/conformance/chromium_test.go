//go:build conformance

package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/ingress"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/leak"
)

// chromium is a real browser with an empty profile. It reaches the site, its
// sibling, the attacker and the provider by name, over TLS.
type chromium struct {
	w   *world
	ctx context.Context

	mu    sync.Mutex
	pages map[string]string // host and path to HTML, of the hostile sites
	seen  map[string]int    // hits of the hostile sites, by host and path
	kept  strings.Builder   // what the site under test sent
	reads sync.WaitGroup
}

// newChromium starts a browser for a world, whose provider must speak https
// (secureProvider) if the browser is to post forms there: one to http would be
// stopped by a warning. Use withChromium, which starts one browser at a time.
func newChromium(w *world) *chromium {
	w.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		w.Skip("needs chromium")
	}
	b := &chromium{w: w, pages: map[string]string{}, seen: map[string]int{}}
	front := ingress.Start(w.T, ingress.Options{
		Authority: authority, Hosts: []string{hostOf(shopURL), hostOf(siblingURL), hostOf(attackerURL)},
		Backend: func(host string) string {
			if host == hostOf(shopURL) {
				return w.addressOf(host + ":443")
			}
			return ""
		},
		Pages: http.HandlerFunc(b.serve),
	})
	rules := []string{"MAP id.provider.test:443 " + w.AS.Address}
	for _, site := range []string{shopURL, siblingURL, attackerURL} {
		rules = append(rules, fmt.Sprintf("MAP %s:443 %s", hostOf(site), front.Address))
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.UserDataDir(w.TempDir()),
		chromedp.NoSandbox, // the tests may run as root
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("ignore-certificate-errors", true), // the kit's authority is nobody's
		chromedp.Flag("host-resolver-rules", strings.Join(rules, ",")),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(w.Context(), options...)
	w.Cleanup(stopAllocator)
	ctx, stop := chromedp.NewContext(allocator)
	w.Cleanup(stop)
	b.ctx = ctx
	if err := b.listen(); err != nil {
		w.Fatalf("start chromium: %v", err)
	}
	w.Cleanup(b.check)
	return b
}

// listen keeps everything the site under test sends to the browser.
func (b *chromium) listen() error {
	urls := map[network.RequestID]string{}
	err := chromedp.Listen(b.ctx, func(event any) {
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			b.mu.Lock()
			urls[e.RequestID] = e.Request.URL
			b.mu.Unlock()
		case *network.EventResponseReceived:
			b.keep(e.Response.URL, fmt.Sprint(e.Response.Headers))
		case *network.EventLoadingFinished:
			b.mu.Lock()
			url := urls[e.RequestID]
			b.mu.Unlock()
			b.reads.Go(func() { b.keepBody(e.RequestID, url) })
		}
	})
	if err != nil {
		return err
	}
	return chromedp.Do(b.ctx, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, network.Enable, network.EnableParams{})
		return err
	}))
}

func (b *chromium) keep(url, text string) {
	if !strings.HasPrefix(url, shopURL) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprintf(&b.kept, "%s\n", text)
}

func (b *chromium) keepBody(id network.RequestID, url string) {
	body, err := chromedp.Run(b.ctx, func(ctx context.Context, tab *chromedp.Target) (network.GetResponseBodyResult, error) {
		return cdp.Call(ctx, tab, network.GetResponseBody, network.GetResponseBodyParams{RequestID: id})
	})
	if err == nil { // a page that has gone has no body any more
		b.keep(url, string(body.Body))
	}
}

// check is the leak scan of this browser.
func (b *chromium) check() {
	b.reads.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.w.report("the browser received", b.w.Leaks.InBrowser(b.kept.String()))
}

// Page has a hostile site serve a page, such as attackerURL+"/x".
func (b *chromium) Page(url, html string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pages[strings.TrimPrefix(url, "https://")] = html
}

// Hits is how often a page of a hostile site was asked for.
func (b *chromium) Hits(url string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen[strings.TrimPrefix(url, "https://")]
}

func (b *chromium) serve(w http.ResponseWriter, r *http.Request) {
	key := r.Host + r.URL.Path
	b.mu.Lock()
	page, ok := b.pages[key]
	b.seen[key]++
	b.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, page) // the browser has gone; there is nobody to tell
}

// Do runs actions with a deadline; what names them in a failure.
func (b *chromium) Do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.w.Helper()
	get(b, what, chromedp.Steps(steps...))
}

func get[T any](b *chromium, what string, action chromedp.Action[T]) T {
	b.w.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		b.w.Fatalf("%s: %v", what, err)
	}
	return value
}

// Open navigates by the address bar.
func (b *chromium) Open(url string) {
	b.w.Helper()
	b.Do("open "+url, chromedp.Navigate(url))
}

// Script runs JavaScript in the page, and returns the string that it evaluates
// to, or promises.
func (b *chromium) Script(source string) string {
	b.w.Helper()
	return get(b, "run in the page: "+source, chromedp.Evaluate[string](source, chromedp.EvalAwaitPromise))
}

// Location is the address of the page. It is empty while one page makes room for
// another.
func (b *chromium) Location() string {
	b.w.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	location, err := chromedp.Run(ctx, chromedp.Location())
	if left, ok := errors.AsType[*cdproto.Error](err); ok && left.Code == targetLeft {
		return ""
	}
	if err != nil {
		b.w.Fatalf("read the location: %v", err)
	}
	return location
}

// targetLeft is the code of a question to a page that was left while it was
// asked.
const targetLeft = -32000

// WaitFor waits until the address begins with a URL.
func (b *chromium) WaitFor(url string) {
	b.w.Helper()
	b.w.Eventually("the browser is at "+url, func() bool { return strings.HasPrefix(b.Location(), url) })
}

// Cookies are all cookies of the profile, HttpOnly ones too. The leak scan
// learns of them.
func (b *chromium) Cookies() []*network.Cookie {
	b.w.Helper()
	cookies := get(b, "read the cookie jar", func(ctx context.Context, t *chromedp.Target) ([]*network.Cookie, error) {
		jar, err := cdp.Call(ctx, t, storage.GetCookies, storage.GetCookiesParams{})
		return jar.Cookies, err
	})
	for _, c := range cookies {
		b.w.Leaks.Add("cookie "+c.Name, c.Value, leak.Browser)
	}
	return cookies
}

// Cookie is the value of a cookie, "" if there is none.
func (b *chromium) Cookie(name string) string {
	b.w.Helper()
	for _, c := range b.Cookies() {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// Session asks the session endpoint from the page, whose origin must be the
// site's.
func (b *chromium) Session() string {
	b.w.Helper()
	return b.Script(`fetch("/bff/session", {headers: {"X-CSRF": "1"}}).then(r => r.text())`)
}

// Login logs in by navigation from the site's page.
func (b *chromium) Login() {
	b.w.Helper()
	b.Open(shopURL + "/")
	b.Do("log in", chromedp.Evaluate[chromedp.Void](`void location.assign("/bff/login")`))
	b.w.Eventually("the browser is logged in", func() bool {
		return b.Cookie(cookieName) != "" && b.Location() == shopURL+"/"
	})
}

// browsers is held by the one test that may run a Chromium: each wants more of
// the machine than all the others.
var browsers sync.Mutex

// withChromium is newWorld and newChromium for a test about browsers.
func withChromium(t *testing.T, options ...option) (*world, *chromium) {
	t.Helper()
	browsers.Lock()
	t.Cleanup(browsers.Unlock)
	w := newWorld(t, options...)
	return w, newChromium(w)
}
