package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/demo/idp/idptest"
)

// The sample runs as it is, but for the ports: log in as alice, and the API
// answers with her orders.
func TestSampleShop(t *testing.T) {
	data, err := os.ReadFile("../../config/samples/shop/policy.yaml")
	must(t, err)
	shop, id, admin := freePort(t), freePort(t), freePort(t)
	text := strings.NewReplacer("localhost:8080", "localhost:"+shop, "localhost:8090", "localhost:"+id).Replace(string(data))
	file := filepath.Join(t.TempDir(), "policy.yaml")
	must(t, os.WriteFile(file, []byte(text), 0o600))

	var out, log output
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"-f", file, "--admin-listen", "127.0.0.1:" + admin}, &out, &log) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	}()

	b := browser{t: t, cookies: map[string]string{}, client: &http.Client{Transport: &http.Transport{DialContext: here},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	origin := "http://localhost:" + shop
	eventually(t, "the page is there", func() bool {
		answer, err := b.client.Get(origin + "/")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	for _, want := range []string{"Open        " + origin, "alice / alice-demo-pw", "sessions are kept in memory"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}

	away, _ := b.get(origin+"/bff/login?returnTo=/", "Sec-Fetch-Mode: navigate")
	back, err := idptest.SignIn(ctx, b.client, away.Header.Get("Location"), "alice", "alice-demo-pw")
	must(t, err)
	if landed, body := b.get(back.String(), "Sec-Fetch-Mode: navigate"); landed.StatusCode != http.StatusOK {
		t.Fatalf("callback: %s %s", landed.Status, body)
	}
	answer, body := b.get(origin+"/api/orders", "X-CSRF: 1")
	var orders struct {
		Claims  map[string]any
		Orders  []any
		Request struct{ Cookie bool }
	}
	if err := json.Unmarshal([]byte(body), &orders); err != nil || answer.StatusCode != http.StatusOK || orders.Claims["sub"] != "alice" || len(orders.Orders) == 0 || orders.Request.Cookie {
		t.Errorf("orders: %s %s", answer.Status, body)
	}

	// The policy is edited, and in force a moment later.
	must(t, os.WriteFile(file, []byte(strings.Replace(text, "path: /api", "path: /v2", 1)), 0o600))
	eventually(t, "the edited policy is in force", func() bool {
		answer, _ := b.get(origin+"/v2/orders", "X-CSRF: 1")
		return answer.StatusCode == http.StatusNotFound // the sample's API knows no /v2
	})
}

func TestApplicationMustBeNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	must(t, os.WriteFile(file, []byte(production), 0o600))
	if err := run(t.Context(), []string{"-f", file}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "--app http://localhost:5173") {
		t.Error(err)
	}
}

// browser keeps cookies as browsers do on localhost, where Secure needs no TLS.
type browser struct {
	t       *testing.T
	client  *http.Client
	cookies map[string]string
}

func (b *browser) get(target string, headers ...string) (*http.Response, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, target, nil)
	must(b.t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	answer, err := b.client.Do(r)
	must(b.t, err)
	defer answer.Body.Close()
	for _, c := range answer.Cookies() {
		b.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	body, err := io.ReadAll(answer.Body)
	must(b.t, err)
	return answer, string(body)
}

// here dials this machine for every name below localhost.
func here(ctx context.Context, network, address string) (net.Conn, error) {
	u := url.URL{Host: address}
	return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+u.Port())
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	return fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// output may be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
