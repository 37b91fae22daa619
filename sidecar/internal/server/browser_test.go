package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/hack/demo/idp/idptest"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// browser keeps cookies and sends what a browser sends.
type browser struct {
	w      *world
	t      *testing.T
	client *http.Client
	from   string // what the ingress says of where it is, as a header
	seen   buffer // every answer, headers and body
}

func (w *world) newBrowser() *browser {
	jar, err := cookiejar.New(nil)
	must(w.t, err)
	b := &browser{w: w, t: w.t}
	b.client = &http.Client{Jar: jar, Transport: ingress{w.traffic},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return b
}

// ingress ends TLS and forwards in plain text, with a Host of its own. What is
// not for the shop goes out as it is.
type ingress struct{ sidecar string }

func (i ingress) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme+"://"+r.URL.Host == publicURL {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host, r.Host = "http", i.sidecar, "ingress.internal"
	}
	return http.DefaultTransport.RoundTrip(r)
}

// answer is a response whose body was read.
type answer struct {
	*http.Response
	body string
}

// json reads the body as JSON.
func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%s: %v: %s", a.Status, err, a.body)
	}
	return v
}

func (b *browser) do(r *http.Request) answer {
	b.t.Helper()
	response, err := b.client.Do(r)
	must(b.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(b.t, err)
	for name, values := range response.Header {
		if name == "Set-Cookie" || name == "Location" && strings.HasPrefix(values[0], b.w.issuer+"/authorize?") {
			continue // the one place where a cookie's value belongs, and the one where a state does
		}
		fmt.Fprintf(&b.seen, "%s: %s\n", name, values)
	}
	_, _ = b.seen.Write(body)
	return answer{response, string(body)}
}

func (b *browser) request(method, target string, headers ...string) *http.Request {
	b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = publicURL + target
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, target, nil)
	must(b.t, err)
	if b.from != "" {
		headers = append(headers, b.from)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return r
}

// navigate opens an address. site is what Sec-Fetch-Site says.
func (b *browser) navigate(target, site string) answer {
	b.t.Helper()
	return b.do(b.request("GET", target, "Accept: text/html,application/xhtml+xml", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document",
		"Sec-Fetch-Site: "+site, "Sec-Fetch-User: ?1", "Upgrade-Insecure-Requests: 1"))
}

// fetch is a call of a script of our page.
func (b *browser) fetch(method, path string, headers ...string) answer {
	b.t.Helper()
	return b.do(b.request(method, path, append([]string{"X-CSRF: 1", "Accept: application/json", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty",
		"Sec-Fetch-Site: same-origin"}, headers...)...))
}

// login logs in as alice and lands on the page.
func (b *browser) login() {
	b.t.Helper()
	away := b.navigate("/bff/login?returnTo=%2Forders%3Fpage%3D2", "none")
	if away.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("login: %s %s", away.Status, away.body)
	}
	back, err := idptest.SignIn(b.t.Context(), b.client, away.Header.Get("Location"), "alice", "alice-demo-pw")
	must(b.t, err)
	landed := b.navigate(back.String(), "cross-site")
	if landed.StatusCode != http.StatusOK || !strings.Contains(landed.body, "/orders?page=2") {
		b.t.Fatalf("callback: %s %s", landed.Status, landed.body)
	}
	b.w.secrets.add("session cookie", b.cookie())
	b.w.secrets.add("code", back.Query().Get("code"))
	b.w.secrets.add("state", back.Query().Get("state"))
}

// cookie is the session cookie's value.
func (b *browser) cookie() string {
	u, _ := url.Parse(publicURL)
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == session.CookieName {
			return c.Value
		}
	}
	return ""
}

func (b *browser) expectProblem(a answer, status int, code string) {
	b.t.Helper()
	if a.StatusCode != status || a.json(b.t)["code"] != code {
		b.t.Errorf("%s %s: %s %s, want %d %s", a.Request.Method, a.Request.URL.Path, a.Status, a.body, status, code)
	}
}

// signedIn goes through the provider as alice and says whether that made a
// session.
func signedIn(t *testing.T, b *browser, authorizationURL string) bool {
	t.Helper()
	back, err := idptest.SignIn(t.Context(), b.client, authorizationURL, "alice", "alice-demo-pw")
	must(t, err)
	return b.navigate(back.String(), "cross-site").StatusCode == http.StatusOK && b.cookie() != ""
}
