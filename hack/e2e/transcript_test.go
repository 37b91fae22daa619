//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/bff-operator/bff-operator/hack/demo/idp"
	"github.com/bff-operator/bff-operator/hack/stage"
)

// transcript is everything a browser sent and received: URLs, headers, bodies.
type transcript struct {
	mu      sync.Mutex
	hops    map[network.RequestID]*hops
	order   []network.RequestID
	entries []entry
	reading sync.WaitGroup
}

// hops are the URLs one request was redirected through, and the headers sent
// to each. The browser reports both in order, but not one after the other.
type hops struct {
	urls    []string
	headers []network.Headers
}

// entry is one thing seen, with words for where.
type entry struct{ where, text string }

func newTranscript() *transcript {
	return &transcript{hops: map[network.RequestID]*hops{}}
}

// record starts the browser and listens to its tab until ctx ends.
func (t *transcript) record(ctx context.Context) error {
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			t.hop(e.RequestID, func(h *hops) { h.urls = append(h.urls, e.Request.URL) })
			t.saw(e.RequestID, "URL", e.Request.URL)
		case *network.EventRequestWillBeSentExtraInfo:
			t.hop(e.RequestID, func(h *hops) { h.headers = append(h.headers, e.Headers) })
			t.saw(e.RequestID, "request headers", fmt.Sprint(e.Headers))
		case *network.EventResponseReceivedExtraInfo:
			t.saw(e.RequestID, "response headers", e.HeadersText+fmt.Sprint(e.Headers))
		case *network.EventLoadingFinished:
			t.reading.Go(func() { t.readBody(ctx, e.RequestID) })
		}
	})
	if err != nil {
		return err
	}
	return chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, network.Enable, network.EnableParams{})
		return err
	}))
}

func (t *transcript) hop(id network.RequestID, add func(*hops)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hops[id] == nil {
		t.hops[id] = &hops{}
		t.order = append(t.order, id)
	}
	add(t.hops[id])
}

func (t *transcript) saw(id network.RequestID, what, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	where := what
	if h := t.hops[id]; h != nil && len(h.urls) > 0 {
		path, _, _ := strings.Cut(h.urls[len(h.urls)-1], "?")
		where += " of " + path
	}
	t.entries = append(t.entries, entry{where, text})
}

func (t *transcript) readBody(ctx context.Context, id network.RequestID) {
	response, err := chromedp.Run(ctx, func(ctx context.Context, tab *chromedp.Target) (network.GetResponseBodyResult, error) {
		return cdp.Call(ctx, tab, network.GetResponseBody, network.GetResponseBodyParams{RequestID: id})
	})
	if err == nil {
		t.saw(id, "body", string(response.Body))
	}
}

// bodies is how many bodies were read, so that a test can tell a clean
// transcript from an empty one.
func (t *transcript) bodies() int {
	t.reading.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, entry := range t.entries {
		if strings.HasPrefix(entry.where, "body") && entry.text != "" {
			n++
		}
	}
	return n
}

// header is what the browser sent under a name with the last request whose URL
// starts with prefix.
func (t *transcript) header(prefix, name string) (value string, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range t.order {
		for i, url := range t.hops[id].urls {
			if !strings.HasPrefix(url, prefix) || i >= len(t.hops[id].headers) {
				continue
			}
			value, found = "", false
			for key, v := range t.hops[id].headers[i] {
				if strings.EqualFold(key, name) {
					value, found = fmt.Sprint(v), true
				}
			}
		}
	}
	return value, found
}

// What a token of the sample's identity provider looks like: a JWT (access and
// ID tokens), or its own prefix (refresh tokens).
var tokens = map[string]*regexp.Regexp{
	"a JWT":           regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}`),
	"a refresh token": regexp.MustCompile(regexp.QuoteMeta(idp.RefreshTokenPrefix) + `[A-Za-z0-9_-]{20,}`),
}

// authorizationCode is the one credential that travels by the browser on
// purpose: useless without the client's secret and the PKCE verifier.
var authorizationCode = regexp.MustCompile(`([?&]code=|code: ?)[A-Za-z0-9_.%-]+`)

// leaks reports every token found in what the browser saw (BFF-03, THR-1).
func (t *transcript) leaks(test *testing.T) {
	test.Helper()
	t.reading.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, entry := range t.entries {
		if entry.where == handover {
			continue
		}
		findTokens(test, entry.where, entry.text)
	}
}

// handover is the one document with a token in it: the form by which the browser
// brings the ID token back to the provider that issued it, in a sandbox that no
// script of the application reaches (RPL-02).
const handover = "body of " + stage.ShopURL + "/bff/logout/continue"

// asked says whether the browser sent a request to a URL that starts with prefix.
func (t *transcript) asked(prefix string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.hops {
		for _, url := range h.urls {
			if strings.HasPrefix(url, prefix) {
				return true
			}
		}
	}
	return false
}

func findTokens(test *testing.T, where, text string) {
	test.Helper()
	for _, what := range tokensIn(text) {
		test.Errorf("%s reached the browser in the %s", what, where)
	}
}

func tokensIn(text string) (found []string) {
	if decoded, err := url.QueryUnescape(text); err == nil {
		text += "\n" + decoded
	}
	text = authorizationCode.ReplaceAllString(text, "")
	for what, pattern := range tokens {
		if pattern.MatchString(text) {
			found = append(found, what)
		}
	}
	return found
}

// A scan that finds nothing proves something only if it would have found it.
func TestScanFindsWhatTheProviderIssues(t *testing.T) {
	secret := strings.Repeat("x-_9", 11)[:43]
	for text, want := range map[string]int{
		`{"token":"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln"}`:                      1,
		`location: /?t=eyJhbGciOiJSUzI1NiJ9%2EeyJzdWIiOiJhbGljZSJ9%2Ec2ln`:                1,
		"set-cookie: t=" + idp.RefreshTokenPrefix + secret + "." + secret:                 1,
		"GET /bff/callback?code=" + secret + "." + secret + "&state=" + secret:            0,
		"cookie: " + sessionCookie + "=" + secret:                                         0,
		`{"authenticated":true,"claims":{"sub":"alice"},"logoutURL":"/bff/logout?sid=x"}`: 0,
	} {
		if found := tokensIn(text); len(found) != want {
			t.Errorf("found %v in %s, want %d", found, text, want)
		}
	}
}
