package logout_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// worker passes every navigation on, and tells what it could read.
const worker = `
self.addEventListener('install', event => self.skipWaiting())
self.addEventListener('activate', event => event.waitUntil(self.clients.claim()))
self.addEventListener('fetch', event => {
  if (event.request.mode !== 'navigate') return
  event.respondWith(fetch(event.request).then(async response => {
    const text = response.type === 'opaqueredirect' ? '' : await response.clone().text()
    await fetch('/read', {method: 'POST', body: new URL(event.request.url).pathname + ' ' + text})
    return response
  }))
})`

// site is the application and its logout, in a browser that is logged in.
type site struct {
	*realWorld
	server  *httptest.Server
	browser context.Context
	idToken string

	mu   sync.Mutex
	uris []string // of every request
	read []string // by the service worker
}

// newSite runs the application on localhost and the provider on 127.0.0.1, which
// are two sites.
func newSite(t *testing.T, b providertest.Behaviour) *site {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is not installed: run make prerequisites")
	}
	s := &site{server: httptest.NewUnstartedServer(nil)}
	origin := "http://localhost:" + s.server.Listener.Addr().String()[strings.LastIndexByte(s.server.Listener.Addr().String(), ':')+1:]
	s.realWorld = newRealWorld(t, origin, b)
	var value string
	value, s.idToken = s.logIn()
	mux := http.NewServeMux()
	mux.HandleFunc("/bff/logout", s.Logout)
	mux.HandleFunc("/bff/logout/continue", s.Continue)
	mux.HandleFunc("/in", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, session.Cookie(value))
		writePage(w, "logged in")
	})
	mux.HandleFunc("/worker.js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = io.WriteString(w, worker)
	})
	mux.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.read = append(s.read, string(body))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { writePage(w, "home") })
	s.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.uris = append(s.uris, r.RequestURI+" "+r.Referer())
		s.mu.Unlock()
		mux.ServeHTTP(w, r)
	})
	s.server.Start()
	t.Cleanup(s.server.Close)
	s.server.URL = origin

	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	s.browser = ctx
	s.do(chromedp.Navigate(s.server.URL + "/in"))
	return s
}

func writePage(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "<!doctype html><title>"+text+"</title><h1>"+text+"</h1>")
}

func (s *site) do(steps ...chromedp.Action[chromedp.Void]) {
	s.t.Helper()
	if err := chromedp.Do(s.browser, steps...); err != nil {
		s.t.Fatal(err)
	}
}

// evaluate runs a script of the application.
func (s *site) evaluate(script string) string {
	s.t.Helper()
	got, err := chromedp.Run(s.browser, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		s.t.Fatalf("%s: %v", script, err)
	}
	return got
}

// await polls, because a browser takes its time.
func (s *site) await(what string, reached func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !reached(); {
		if time.Now().After(deadline) {
			where, err := chromedp.Run(s.browser, chromedp.Location())
			s.t.Fatalf("%s: not reached, the browser is at %s, %v", what, where, err)
		}
		time.Sleep(20 * time.Millisecond) // between polls
	}
}

func (s *site) at(location string) func() bool {
	return func() bool {
		where, err := chromedp.Run(s.browser, chromedp.Location())
		return err == nil && where == location
	}
}

const logOut = `fetch('/bff/logout', {method: 'POST', headers: {'X-CSRF': '1'}}).then(answer => answer.json()).then(answer => answer.logoutURL)`

// attempt is what the opener of a window finds in it.
const attempt = `(() => { try { return opened.document.documentElement.outerHTML } catch (e) { return e.name } })()`

// RPL-02: the form takes the ID token to the provider by itself, and a script of
// the application that has opened its page cannot read it there.
func TestFormInABrowser(t *testing.T) {
	arrived, goOn := make(chan struct{}), make(chan struct{})
	s := newSite(t, providertest.Behaviour{Serve: func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/end-session" {
			close(arrived) // a second time would panic: it comes once
			<-goOn
		}
		return false
	}})
	s.evaluate(`(window.opened = open('/home'), 'opened')`)
	s.await("a page of the application", func() bool { return strings.Contains(s.evaluate(attempt), "<h1>home</h1>") }) // what an opener may read

	if got := s.evaluate(logOut); got != "/bff/logout/continue" {
		t.Fatalf("logoutURL %q", got)
	}
	s.evaluate(`(opened.location.assign('/bff/logout/continue'), 'going')`)
	select {
	case <-arrived: // the window still shows the page with the form
	case <-time.After(20 * time.Second):
		t.Fatal("the form was not sent")
	}
	if got := s.evaluate(attempt); got != "SecurityError" {
		t.Errorf("the opener reads %q", got)
	}
	close(goOn)
	s.await("home", func() bool { return strings.Contains(s.evaluate(attempt), "<h1>home</h1>") })

	forms := s.idp.EndSessions()
	if len(forms) != 1 || forms[0].Get("id_token_hint") != s.idToken || forms[0].Get("client_id") != "shop" || forms[0].Get("post_logout_redirect_uri") != s.server.URL+"/" {
		t.Errorf("%d forms at the provider", len(forms))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, uri := range s.uris {
		if strings.Contains(uri, s.idToken) {
			t.Error("the ID token in a URL")
		}
	}
}

// A browser without script shows a button.
func TestFormWithoutScript(t *testing.T) {
	s := newSite(t, providertest.Behaviour{})
	s.evaluate(logOut)
	if _, err := chromedp.Call(s.browser, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	s.do(chromedp.Navigate(s.server.URL+"/bff/logout/continue"), chromedp.WaitVisible(chromedp.CSS("button")))
	if n := len(s.idp.EndSessions()); n != 0 {
		t.Fatalf("%d forms before the button was pressed", n)
	}
	s.do(chromedp.Click(chromedp.CSS("button")))
	s.await("home", s.at(s.server.URL+"/"))
	if forms := s.idp.EndSessions(); len(forms) != 1 || forms[0].Get("id_token_hint") != s.idToken {
		t.Errorf("%d forms at the provider", len(forms))
	}
}

// A service worker of the application that lets everything through breaks nothing
// and gets no ID token: the provider asks the user instead.
func TestLogoutThroughServiceWorker(t *testing.T) {
	s := newSite(t, providertest.Behaviour{})
	s.evaluate(`navigator.serviceWorker.register('/worker.js').then(() => new Promise(resolve => {
		if (navigator.serviceWorker.controller) resolve()
		navigator.serviceWorker.addEventListener('controllerchange', resolve)
	})).then(() => 'controlled')`)
	s.evaluate(`fetch('/bff/logout', {method: 'POST', headers: {'X-CSRF': '1'}}).then(answer => answer.json()).then(answer => { location.assign(answer.logoutURL); return 'going' })`)
	s.await("the provider", func() bool {
		where, err := chromedp.Run(s.browser, chromedp.Location())
		return err == nil && strings.HasPrefix(where, s.idp.Issuer+"/end-session?")
	})
	if forms := s.idp.EndSessions(); len(forms) != 1 || forms[0].Has("id_token_hint") {
		t.Errorf("%d forms at the provider: %v", len(forms), forms)
	}
	s.await("the service worker", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, read := range s.read {
			if strings.HasPrefix(read, "/bff/logout/continue ") {
				return true
			}
		}
		return false
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, read := range s.read {
		if strings.Contains(read, s.idToken) {
			t.Error("the service worker has read the ID token")
		}
	}
}

// Nothing of the page with the form can be fetched or framed.
func TestFormCannotBeFetched(t *testing.T) {
	s := newSite(t, providertest.Behaviour{})
	s.evaluate(logOut)
	for name, script := range map[string]string{
		"fetch":   `fetch('/bff/logout/continue').then(answer => answer.text())`,
		"request": `new Promise(done => { const r = new XMLHttpRequest(); r.onload = () => done(r.responseText); r.open('GET', '/bff/logout/continue'); r.send() })`,
		"frame":   `new Promise(done => { const f = document.createElement('iframe'); f.onload = () => { try { done(f.contentDocument ? f.contentDocument.documentElement.outerHTML : 'closed') } catch (e) { done(e.name) } }; f.src = '/bff/logout/continue'; document.body.append(f) })`,
		"object":  `new Promise(done => { const o = document.createElement('object'); o.onload = o.onerror = () => done(o.contentDocument ? o.contentDocument.documentElement.outerHTML : 'closed'); o.data = '/bff/logout/continue'; document.body.append(o) })`,
	} {
		if got := s.evaluate(script); strings.Contains(got, "id_token_hint") || strings.Contains(got, s.idToken) {
			t.Errorf("%s reads %s", name, got)
		}
	}
	// And the ticket is still good for the navigation.
	s.do(chromedp.Navigate(s.server.URL + "/bff/logout/continue"))
	s.await("home", s.at(s.server.URL+"/"))
	if forms := s.idp.EndSessions(); len(forms) != 1 || forms[0].Get("id_token_hint") != s.idToken {
		t.Errorf("%d forms at the provider", len(forms))
	}
}
