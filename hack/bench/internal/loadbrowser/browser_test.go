package loadbrowser_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadbrowser"
)

// site serves an application and its provider at one address.
func site(t *testing.T, handle http.HandlerFunc) loadbrowser.Site {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	return loadbrowser.Site{Host: "shop.example.com", Replicas: []string{address}, Provider: address, SIDHeader: "Sid"}
}

// shop is what a right site does; what is wrong with the requests goes to the
// test.
func shop(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bff/login":
			if r.Host != "shop.example.com" || r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Site") != "same-origin" {
				t.Errorf("login: host %q, header %v", r.Host, r.Header)
			}
			http.SetCookie(w, &http.Cookie{Name: "transaction", Value: "t1"})
			http.SetCookie(w, &http.Cookie{Name: "gone", MaxAge: -1})
			http.Redirect(w, r, "http://id.example.com/authorize?state=s1", http.StatusSeeOther)
		case "/authorize":
			if r.Host != "id.example.com" || r.Header.Get("Cookie") != "" {
				t.Errorf("provider: host %q, cookies %q", r.Host, r.Header.Get("Cookie"))
			}
			w.Header().Set("Sid", "sid-1")
			http.Redirect(w, r, "https://shop.example.com/bff/callback?state="+r.FormValue("state"), http.StatusSeeOther)
		case "/bff/callback":
			if r.Header.Get("Cookie") != "transaction=t1" || r.FormValue("state") != "s1" || r.Header.Get("Sec-Fetch-Site") != "cross-site" {
				t.Errorf("callback: cookies %q, state %q", r.Header.Get("Cookie"), r.FormValue("state"))
			}
			http.SetCookie(w, &http.Cookie{Name: "__Host-Http-bff", Value: "v1", Path: "/", Secure: true})
		case "/api/json", "/bff/logout":
			if r.Header.Get("Cookie") != "__Host-Http-bff=v1" || r.Header.Get("X-CSRF") != "1" {
				t.Errorf("%s: %v", r.URL.Path, r.Header)
			}
		case "/bff/backchannel-logout":
			if r.FormValue("logout_token") != "a+b" {
				t.Errorf("logout token %q", r.FormValue("logout_token"))
			}
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

func TestALoginAndWhatFollows(t *testing.T) {
	t.Parallel()
	b := loadbrowser.New(site(t, shop(t)))
	defer b.Close()
	s, err := b.Login(t.Context(), 0)
	if err != nil || s.SID != "sid-1" || s.Cookie != "__Host-Http-bff=v1" {
		t.Fatalf("%+v, %v", s, err)
	}
	for name, call := range map[string]func() (int, error){
		"call":         func() (int, error) { return b.Call(t.Context(), 0, s) },
		"logout":       func() (int, error) { return b.Logout(t.Context(), 0, s) },
		"back-channel": func() (int, error) { return b.BackChannel(t.Context(), 0, "a+b") },
	} {
		if status, err := call(); status != http.StatusOK || err != nil {
			t.Errorf("%s: %d, %v", name, status, err)
		}
	}
}

func TestALoginThatFailsIsNone(t *testing.T) {
	t.Parallel()
	right := shop(t)
	for path, wrong := range map[string]http.HandlerFunc{
		"/bff/login":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"/authorize":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) },
		"/bff/callback": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) },
	} {
		b := loadbrowser.New(site(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path {
				wrong(w, r)
				return
			}
			right(w, r)
		}))
		if _, err := b.Login(t.Context(), 0); err == nil {
			t.Errorf("%s failed, and the login did not", path)
		}
		b.Close()
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	const size = 3 << 20
	at := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n, err := io.Copy(io.Discard, r.Body)
			if err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	})
	c := &loadbrowser.Conn{Address: at.Replicas[0]}
	if n, err := c.Download(t.Context(), loadbrowser.Fetch("GET", at.Host, "/", ""), time.Minute); n != size || err != nil {
		t.Errorf("download: %d, %v", n, err)
	}
	if a, err := c.Upload(t.Context(), loadbrowser.Fetch("POST", at.Host, "/", ""), size, time.Minute); string(a.Body) != strconv.Itoa(size) || err != nil {
		t.Errorf("upload: %q, %v", a.Body, err)
	}
}

func TestAConnectionIsMadeAgain(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	at := site(t, func(w http.ResponseWriter, r *http.Request) {
		seen[r.RemoteAddr] = true
		if r.URL.Path == "/close" {
			w.Header().Set("Connection", "close")
		}
	})
	c := &loadbrowser.Conn{Address: at.Replicas[0]}
	defer c.Close()
	for _, target := range []string{"/", "/", "/close", "/", "/"} {
		if a, err := c.Do(t.Context(), loadbrowser.Fetch("GET", at.Host, target, "")); a.Status != http.StatusOK || err != nil {
			t.Errorf("%s: %d, %v", target, a.Status, err)
		}
	}
	if len(seen) != 2 {
		t.Errorf("%d connections", len(seen))
	}
}
