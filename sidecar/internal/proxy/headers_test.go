package proxy_test

import (
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// hostile are headers that no browser may get through, under any spelling.
var hostile = []string{
	"Authorization: Bearer evil", "authorization: Bearer evil", "AUTHORIZATION: Bearer evil", "Proxy-Authorization: Basic evil", "Dpop: evil", "DPoP: evil",
	"Forwarded: for=evil", "Via: 1.1 evil", "X-Forwarded-For: evil", "X_Forwarded_For: evil", "x-forwarded-for: evil", "X-Forwarded-Host: evil",
	"X-Forwarded_Proto: evil", "X-Forwarded-Port: evil", "X-Forwarded-Prefix: evil", "X-Forwarded-User: evil", "X_FORWARDED_USER: evil", "X-Forwarded-Email: evil",
	"X-Forwarded-Access-Token: evil", "X-Forwarded-Client-Cert: evil", "X-Real-Ip: evil", "X_Real_IP: evil", "True-Client-Ip: evil", "Cf-Connecting-Ip: evil",
	"X-Auth-Request-User: evil", "X_Auth_Request_Email: evil", "X-Remote-User: evil", "Remote-User: evil", "Remote_User: evil", "X-Webauth-User: evil",
	"X-Client-Cert: evil", "X-Client-Cert-Dn: evil", "Ssl-Client-Cert: evil", "SSL_CLIENT_S_DN: evil", "X-Ssl-Client-Verify: evil", "Client-Cert: evil",
	"X-Amzn-Oidc-Data: evil", "X-Goog-Authenticated-User-Email: evil", "X-Ms-Client-Principal: evil", "OIDC_CLAIM_sub: evil",
	"X-Original-Url: evil", "X_Original_URL: evil", "X-Rewrite-Url: evil", "X-Http-Method-Override: evil", "X-HTTP-Method: evil", "X-Method-Override: evil",
	"X-Host: evil", "X-Request-Id: evil", "X_Request_Id: evil", "X-User: evil", "X-Userinfo: evil", "X-Access-Token: evil",
	"Connection: x-forwarded-for, authorization, x-request-id, x-secret", "Keep-Alive: evil", "Te: evil", "Proxy-Connection: evil", "X-Secret: evil",
}

// GAP-10, BFF-05: the upstream sees our headers and no others of their kind.
func TestCallCarriesOnlyOurHeaders(t *testing.T) {
	u := newUpstream(t, ok)
	r := newRig(t, parts{upstream: u.URL})
	req := r.call("GET", "/api/orders", slices.Concat(hostile, []string{
		"Origin: " + publicOrigin, "Cookie: app=1; " + session.CookieName + "x=evil", "Accept: application/json", "X-My-Own: kept"})...)
	req.RemoteAddr = "203.0.113.9:4711"
	req.Host = "evil.example"
	answer := r.do(req)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("status %d %s", answer.StatusCode, code(t, answer))
	}

	got := u.last(t)
	for name, values := range got.Header {
		for _, value := range values {
			if strings.Contains(value, "evil") || strings.Contains(value, r.cookie) {
				t.Errorf("%s: %s arrived", name, value)
			}
		}
	}
	want := http.Header{
		"Authorization":     {"Bearer " + accessToken},
		"X-Forwarded-For":   {"203.0.113.9"},
		"X-Forwarded-Proto": {"https"},
		"X-Forwarded-Host":  {"shop.example.com"},
		"X-Request-Id":      {answer.Header.Get("X-Request-Id")},
		"Accept":            {"application/json"},
		"X-My-Own":          {"kept"},
	}
	for name, values := range want {
		if !slices.Equal(got.Header[name], values) {
			t.Errorf("%s is %q, want %q", name, got.Header[name], values)
		}
	}
	for name := range got.Header {
		if _, expected := want[name]; !expected {
			t.Errorf("unexpected header %s: %q", name, got.Header[name])
		}
	}
	if got.Host != strings.TrimPrefix(u.URL, "http://") {
		t.Errorf("Host is %q", got.Host)
	}
}

func TestRouteWithoutToken(t *testing.T) {
	u := newUpstream(t, ok)
	r := newRig(t, parts{upstream: u.URL, token: v1alpha1.TokenNone})
	if answer := r.do(r.call("GET", "/api", "Authorization: Bearer evil")); answer.StatusCode != http.StatusOK {
		t.Fatalf("status %d", answer.StatusCode)
	}
	if values := u.last(t).Header["Authorization"]; len(values) > 0 {
		t.Errorf("Authorization arrived: %q", values)
	}
}

// BFF-33: what was authorised is what is sent, byte for byte.
func TestTargetArrivesAsItWasAuthorised(t *testing.T) {
	u := newUpstream(t, ok)
	r := newRig(t, parts{upstream: u.URL, application: strings.TrimPrefix(u.URL, "http://")})
	for target, want := range map[string]string{
		"/api/a%20b?x=1;y=%zz&z=%2e": "/api/a%20b?x=1;y=%zz&z=%2e",
		"/%61pi/%7Ex":                "/api/~x",
		"/api/%e2%82%ac":             "/api/%E2%82%AC",
		"/api?":                      "/api?",
		"/api/|":                     "/api/|",
		"/assets/a+b%2Bc.js":         "/assets/a+b%2Bc.js",
	} {
		if answer := r.do(r.call("GET", target)); answer.StatusCode != http.StatusOK {
			t.Errorf("%q: status %d", target, answer.StatusCode)
		} else if got := u.last(t).RequestURI; got != want {
			t.Errorf("%q arrived as %q, want %q", target, got, want)
		}
	}
	before := len(u.requests())
	for _, target := range []string{"/api/../x", "/api/%2e%2e/x", "/api//x", "/api%2fx", "/api;x/y"} {
		if answer := r.do(r.call("GET", target)); target != "/api;x/y" && answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: status %d", target, answer.StatusCode)
		}
	}
	if len(u.requests()) > before+1 {
		t.Error("a refused path arrived")
	}
}

// BFF-06, BFF-27, GAP-08: an upstream has no power over the origin.
func TestAnswerOfARoute(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for _, name := range []string{"Set-Cookie", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Clear-Site-Data", "Alt-Svc",
			"Strict-Transport-Security", "Dpop-Nonce", "X-Accel-Redirect", "X-Request-Id", "Nel"} {
			h.Set(name, "evil")
		}
		h.Set("Content-Type", "application/json")
		h.Set("Www-Authenticate", `Bearer error="insufficient_scope"`)
		h.Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
	})
	r := newRig(t, parts{upstream: u.URL})
	answer := r.do(r.call("GET", "/api"))
	for name, values := range answer.Header {
		if slices.Contains(values, "evil") || len(values) != 1 {
			t.Errorf("%s: %q", name, values)
		}
	}
	// BFF-34: a redirect is the browser's to follow, without the token.
	if answer.StatusCode != http.StatusFound || answer.Header.Get("Location") != "/elsewhere" || len(u.requests()) != 1 {
		t.Errorf("status %d, %d requests", answer.StatusCode, len(u.requests()))
	}
	if answer.Header.Get("Cache-Control") != "no-store" || answer.Header.Get("Www-Authenticate") == "" {
		t.Errorf("headers: %v", answer.Header)
	}
}

// The application keeps its cookies and loses ours.
func TestApplicationSeesItsOwnCookiesOnly(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, c := range []string{"app=1; Path=/", session.CookieName + "=evil; Path=/; Secure", "__host-http-BFF-x=evil",
			"=" + session.CookieName + "=evil; Path=/; Secure", " = " + session.CookieName + "=evil; Path=/; Secure", "other=2"} {
			w.Header().Add("Set-Cookie", c)
		}
		w.Header().Set("Access-Control-Allow-Origin", "*")
	})
	r := newRig(t, parts{application: strings.TrimPrefix(u.URL, "http://"), upstream: "http://127.0.0.1:1"})
	req := r.call("POST", "/page", slices.Concat(hostile, []string{
		"Cookie: a=1;b=2;" + session.CookieName + "=evil; " + session.CookieName + "-login-1=evil ;__host-http-bff=evil; c=\"3\"", "Cookie:  " + session.CookieName + " = evil",
		"Origin: https://elsewhere.example"})...)
	req.Host = "evil.example"
	req.RemoteAddr = "203.0.113.9:4711"
	answer := r.do(req)

	got := u.last(t)
	for name, values := range got.Header {
		if strings.Contains(strings.Join(values, "\n"), "evil") || strings.Contains(strings.Join(values, "\n"), r.cookie) {
			t.Errorf("%s: %q arrived", name, values)
		}
	}
	if c := got.Header["Cookie"]; !slices.Equal(c, []string{`a=1; b=2; c="3"`}) {
		t.Errorf("Cookie is %q", c)
	}
	if got.Host != "shop.example.com" || got.Header.Get("X-Forwarded-For") != "203.0.113.9" || got.Header.Get("Origin") == "" {
		t.Errorf("Host %q, %v", got.Host, got.Header)
	}
	if c := answer.Header["Set-Cookie"]; !slices.Equal(c, []string{"app=1; Path=/", "other=2"}) {
		t.Errorf("Set-Cookie is %q", c)
	}
	if answer.Header.Get("Access-Control-Allow-Origin") != "*" || answer.Header.Get("Cache-Control") != "" {
		t.Errorf("the application's own headers changed: %v", answer.Header)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
}

// BFF-06: what an upstream may not say in its header it may not say after its
// body either. Other trailers survive.
func TestTrailersOfAnAnswer(t *testing.T) {
	evil := session.CookieName + "=evil; Path=/; Secure"
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if r.URL.Query().Has("announced") {
			h.Set("Trailer", "Set-Cookie, Checksum")
			_, _ = io.WriteString(w, "body")
			h.Set("Set-Cookie", evil)
			h.Set("Checksum", "1")
			return
		}
		_, _ = io.WriteString(w, "body")
		w.(http.Flusher).Flush()
		h.Set(http.TrailerPrefix+"Set-Cookie", evil)
		h.Set(http.TrailerPrefix+"Clear-Site-Data", "*")
		h.Set(http.TrailerPrefix+"Checksum", "1")
	})
	r := newRig(t, parts{upstream: u.URL, application: strings.TrimPrefix(u.URL, "http://")})
	front := r.serve(t)
	for _, target := range []string{"/api", "/api?announced", "/page", "/page?announced"} {
		answer, err := http.DefaultClient.Do(r.request(t, "GET", front.URL+target, nil))
		must(t, err)
		body, err := io.ReadAll(answer.Body)
		must(t, err)
		answer.Body.Close()
		if string(body) != "body" || !reflect.DeepEqual(answer.Trailer, http.Header{"Checksum": {"1"}}) {
			t.Errorf("%s: %q, trailer %v", target, body, answer.Trailer)
		}
	}
}
