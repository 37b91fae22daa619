//go:build conformance

package conformance

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
)

// logOut is what a page does to log out, up to the navigation.
const logOut = `fetch("/bff/logout", {method: "POST", headers: {"X-CSRF": "1"}}).then(r => r.json()).then(r => r.logoutURL)`

func TestRPL_02_TheHintGoesFromARealBrowserToTheProviderAlone(t *testing.T) {
	t.Parallel()
	covers(t, "RPL-01", "RPL-02", "RPL-06")
	w, b := withChromium(t, secureProvider(), hintInForm())
	b.Login()
	// A page of the application that watches the window in which the logout goes on.
	b.Script(`(window.opened = window.open("/watched"), "")`)
	const look = `(() => { try { return opened.document.documentElement.outerHTML } catch (e) { return e.name } })()`
	w.Eventually("the window is open and can be read", func() bool { return strings.Contains(b.Script(look), "the application") })
	arrived, release := w.AS.Hold(as.EndSession)
	defer release()
	next := b.Script(logOut)
	if s := b.Session(); !strings.Contains(s, `"authenticated":false`) {
		t.Errorf("before the browser has left: %s", s)
	}
	for what, attempt := range map[string]string{
		"fetched": `fetch("` + next + `").then(r => r.text())`,
		"framed":  `new Promise(done => { const f = document.createElement("iframe"); f.onload = () => { try { done(f.contentDocument.documentElement.outerHTML) } catch (e) { done(e.name) } }; f.src = "` + next + `"; document.body.append(f) })`,
	} {
		if got := b.Script(attempt); strings.Contains(got, "id_token_hint") || strings.Contains(got, "eyJ") {
			t.Errorf("%s, the page with the ID token is read", what)
		}
	}
	b.Script(`(opened.location.assign("` + next + `"), "")`)
	within(w, "the form is posted", func() string { <-arrived; return "" })
	// The window still shows our page: it has the ID token, our address, and another
	// origin.
	if got := b.Script(look); got != "SecurityError" {
		t.Errorf("the page with the form can be read: %.200q", got)
	}
	release()
	w.Eventually("the window comes home", func() bool { return strings.Contains(b.Script(look), "the application") })

	requests := w.AS.Requests(as.EndSession)
	if len(requests) != 1 {
		t.Fatalf("%d requests to the end_session_endpoint", len(requests))
	}
	r := requests[0]
	if r.Method != http.MethodPost || r.Form.Get("id_token_hint") == "" || r.Form.Get("post_logout_redirect_uri") != shopURL+"/" {
		t.Errorf("%s with %d parameters", r.Method, len(r.Form))
	}
	if referrer := r.Header.Get("Referer"); referrer != "" {
		t.Errorf("the provider is told the Referer %q", referrer)
	}
	if b.Cookie(cookieName) != "" {
		t.Error("the session cookie is still there")
	}
}

// Arrives waits until the address begins with a URL. Between two pages there may
// be no address to read.
func (b *chromium) Arrives(url string) {
	b.w.Helper()
	b.w.Eventually("the browser is at "+url, func() bool {
		at, err := chromedp.Run(b.ctx, chromedp.Location())
		return err == nil && strings.HasPrefix(at, url)
	})
}

// KeptOut counts, from now on, the documents at a URL that the browser has asked
// for and does not show because their policy says so.
func (b *chromium) KeptOut(url string) *atomic.Int64 {
	b.w.Helper()
	var count atomic.Int64
	var mu sync.Mutex
	ours := map[network.RequestID]bool{}
	err := chromedp.Listen(b.ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			ours[e.RequestID] = strings.HasPrefix(e.Request.URL, url)
		case *network.EventLoadingFailed:
			if ours[e.RequestID] && e.ErrorText == "net::ERR_BLOCKED_BY_RESPONSE" {
				count.Add(1)
			}
		}
	})
	if err != nil {
		b.w.Fatal(err)
	}
	return &count
}

// FramesLoaded waits until a page and all frames in it have loaded something.
func (b *chromium) FramesLoaded() {
	b.w.Helper()
	b.w.Eventually("the frames have loaded", func() bool { return b.Script(`document.readyState`) == "complete" })
}

// LT-13, oidcc-client-test-rp-frontchannel-rpinitlogout: during a logout by the
// relying party a page of the provider frames the logout URI, in a browser that
// lets no cookie into the frame.
func TestLT_13_FrontChannelRPInitLogout(t *testing.T) {
	t.Parallel()
	covers(t, "LT-13", "FCL-06", "FCL-07")
	w, b := withChromium(t, secureProvider(), hintInForm(), frontChannel())
	b.Login()
	keptOut := b.KeptOut(shopURL + "/bff/frontchannel-logout")
	next := b.Script(logOut)
	b.Script(`(location.assign("` + next + `"), "")`)
	b.Arrives(w.AS.URL(as.EndSession))
	w.Eventually("the frame has its answer", func() bool {
		n, err := w.Replicas[0].Metric("bff_logouts_total", `flow="frontchannel_logout",reason="",result="success"`)
		return err == nil && n == 1
	})
	if b.FramesLoaded(); keptOut.Load() != 0 {
		t.Error("the frame was kept out")
	}
	b.Script(`(document.getElementById("back").click(), "")`)
	b.Arrives(shopURL + "/")
	if s := b.Session(); !strings.Contains(s, `"authenticated":false`) {
		t.Errorf("%s", s)
	}
}

func TestFCL_07_ARealBrowserShowsTheFrameToTheProviderAlone(t *testing.T) {
	t.Parallel()
	covers(t, "FCL-07")
	w, b := withChromium(t, secureProvider(), frontChannel())
	framed := w.AS.FrontChannelURL("sid-of-nobody")
	keptOut := b.KeptOut(framed)
	html := `<!doctype html><title>framing</title><iframe src="` + strings.ReplaceAll(framed, "&", "&amp;") + `"></iframe>`
	for i, page := range []string{attackerURL, siblingURL} {
		b.Page(page+"/frame", html)
		b.Open(page + "/frame")
		w.Eventually(page+" is not shown the frame", func() bool { return keptOut.Load() == int64(i+1) })
	}
	w.AtEndSession(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = strings.NewReader(html).WriteTo(rw) // to the test's own browser
		return true
	})
	b.Open(w.AS.URL(as.EndSession))
	if b.FramesLoaded(); keptOut.Load() != 2 {
		t.Error("the provider cannot frame it")
	}
}
