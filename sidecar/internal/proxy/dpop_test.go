package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// resource is a resource server that wants DPoP, and notes what was wrong with
// the proofs it got (RFC 9449 section 4.3).
type resource struct {
	*upstream
	mu     sync.Mutex
	nonce  string          // wanted in every proof, unless empty
	seen   map[string]bool // jti
	nonces []string        // of the proofs, in order
	bodies []string
	wrong  []string
	stuck  bool // wants another nonce for ever
	next   func() string
}

const challengeForNonce = `DPoP error="use_dpop_nonce", algs="ES256", Bearer realm="orders"`

func newResource(t testing.TB) *resource {
	rs := &resource{seen: map[string]bool{}}
	rs.upstream = newUpstream(t, rs.answer)
	return rs
}

func (rs *resource) answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.bodies = append(rs.bodies, string(body))
	nonce := rs.verify(r)
	rs.nonces = append(rs.nonces, nonce)
	wanted := rs.nonce
	if rs.next != nil {
		rs.nonce = rs.next()
	}
	if rs.nonce != "" {
		w.Header().Set("DPoP-Nonce", rs.nonce)
	}
	if nonce != wanted || rs.stuck {
		w.Header().Set("WWW-Authenticate", challengeForNonce)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	ok(w, r)
}

// verify returns the nonce of the request's proof.
func (rs *resource) verify(r *http.Request) string {
	bad := func(format string, args ...any) string {
		rs.wrong = append(rs.wrong, fmt.Sprintf(format, args...))
		return "?"
	}
	if len(r.Header["Dpop"]) != 1 || len(r.Header["Authorization"]) != 1 || r.Header.Get("Authorization") != "DPoP "+accessToken {
		return bad("headers %q, %q", r.Header["Dpop"], r.Header["Authorization"])
	}
	proof, err := jose.ParseSignedCompact(r.Header.Get("DPoP"), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return bad("proof: %v", err)
	}
	header := proof.Signatures[0].Protected
	if header.ExtraHeaders["typ"] != "dpop+jwt" || header.JSONWebKey == nil || !header.JSONWebKey.IsPublic() {
		return bad("header %+v", header)
	}
	payload, err := proof.Verify(header.JSONWebKey)
	if err != nil {
		return bad("signature: %v", err)
	}
	var claims struct {
		JTI, HTM, HTU, ATH, Nonce string
		IAT                       int64
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return bad("claims: %v", err)
	}
	hash := sha256.Sum256([]byte(accessToken))
	path, _, _ := strings.Cut(r.RequestURI, "?")
	switch {
	case rs.seen[claims.JTI]:
		return bad("jti twice") // DPOP-01
	case claims.HTM != r.Method || claims.HTU != rs.URL+path: // DPOP-03
		return bad("proof is of %s %s, not %s %s", claims.HTM, claims.HTU, r.Method, rs.URL+path)
	case claims.ATH != base64.RawURLEncoding.EncodeToString(hash[:]): // DPOP-04
		return bad("ath %q", claims.ATH)
	case time.Since(time.Unix(claims.IAT, 0)).Abs() > time.Minute:
		return bad("iat %d", claims.IAT)
	}
	rs.seen[claims.JTI] = true
	return claims.Nonce
}

func (rs *resource) check(t *testing.T, nonces ...string) {
	t.Helper()
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.wrong) > 0 {
		t.Errorf("the resource server found: %q", rs.wrong)
	}
	if fmt.Sprint(rs.nonces) != fmt.Sprint(nonces) {
		t.Errorf("proofs had the nonces %q, want %q", rs.nonces, nonces)
	}
	rs.nonces = nil
}

// bound are tokens that are bound to a key.
func bound(t testing.TB) token.Set {
	t.Helper()
	key, err := dpop.NewKey(nil)
	must(t, err)
	return token.Set{Access: token.Access{Token: accessToken, Type: token.DPoP, Expiry: time.Now().Add(time.Hour)}, Refresh: "r1", Key: key.Marshal()}
}

// noDPoP says whether an answer to a browser is free of DPoP (DPOP-19).
func noDPoP(t *testing.T, answer *http.Response) {
	t.Helper()
	for name, values := range answer.Header {
		if strings.Contains(strings.ToLower(name+strings.Join(values, "")), "dpop") {
			t.Errorf("the browser got %s: %q", name, values)
		}
	}
}

// DPOP-03, DPOP-04, DPOP-06, DPOP-10: a proof of what the upstream sees, under
// its own scheme, and nothing of the browser's.
func TestBoundToken(t *testing.T) {
	rs := newResource(t)
	r := newRig(t, parts{upstream: rs.URL, tokens: bound(t)})
	for _, target := range []string{"/api", "/api/a%20b/c?x=1#", "/%61pi/x?"} {
		answer := r.do(r.call("GET", strings.TrimSuffix(target, "#"), "DPoP: evil", "dpop: evil", "Authorization: DPoP evil", "authorization: Bearer evil"))
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", target, answer.StatusCode)
		}
	}
	rs.check(t, "", "", "")
}

// DPOP-05, DPOP-13, DPOP-14: a nonce is used as soon as it is known, and the one
// that came last.
func TestNonceOfAnUpstream(t *testing.T) {
	rs := newResource(t)
	rs.nonce = "n1"
	r := newRig(t, parts{upstream: rs.URL, tokens: bound(t)})
	call := func() {
		t.Helper()
		answer := r.do(r.call("GET", "/api"))
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%d", answer.StatusCode)
		}
		noDPoP(t, answer)
	}
	call()
	rs.check(t, "", "n1")
	call()
	rs.check(t, "n1")
	rs.next = func() string { return rs.nonce + "+" } // a new one with every answer
	call()
	call()
	rs.check(t, "n1", "n1+")
}

// DPOP-15: one server's nonce is no other server's.
func TestNoncesAreNotMixed(t *testing.T) {
	one, other := newResource(t), newResource(t)
	one.nonce, other.nonce = "one", "other"
	tokens, nonces := bound(t), &dpop.Nonces{}
	a := newRig(t, parts{upstream: one.URL, tokens: tokens, nonces: nonces})
	b := newRig(t, parts{upstream: other.URL, tokens: tokens, nonces: nonces})
	for range 2 {
		a.do(a.call("GET", "/api"))
		b.do(b.call("GET", "/api"))
	}
	one.check(t, "", "one", "one")
	other.check(t, "", "other", "other")
}

// A server that is never content is asked twice and no more.
func TestNonceWithoutEnd(t *testing.T) {
	rs := newResource(t)
	rs.nonce, rs.stuck = "n1", true
	r := newRig(t, parts{upstream: rs.URL, tokens: bound(t)})
	answer := r.do(r.call("GET", "/api"))
	if answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("WWW-Authenticate") != `Bearer realm="orders"` {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
	noDPoP(t, answer)
	rs.check(t, "", "n1")
}

// DPOP-13: a small body is sent again; a large one is not there any more, and
// the page is told to send it again.
func TestNonceAndBodies(t *testing.T) {
	for name, c := range map[string]struct {
		size   int
		length bool
		nonces []string
		status int
	}{
		"small":                {11, true, []string{"", "n1"}, 200},
		"as large as may be":   {64 << 10, true, []string{"", "n1"}, 200},
		"too large":            {64<<10 + 1, true, []string{""}, 503},
		"of unknown length":    {11, false, []string{""}, 503},
		"very large":           {10 << 20, true, []string{""}, 503},
		"nothing, and no GET":  {0, true, []string{"", "n1"}, 200},
		"one byte, and no GET": {1, true, []string{"", "n1"}, 200},
	} {
		rs := newResource(t)
		rs.nonce = "n1"
		r := newRig(t, parts{upstream: rs.URL, tokens: bound(t)})
		server := r.serve(t)
		sent := strings.Repeat("x", c.size)
		send := func() *http.Response {
			var body io.Reader = strings.NewReader(sent)
			if !c.length {
				body = io.MultiReader(body)
			}
			answer, err := http.DefaultClient.Do(r.request(t, "POST", server.URL+"/api", body))
			must(t, err)
			t.Cleanup(func() { answer.Body.Close() })
			return answer
		}
		answer := send()
		if answer.StatusCode != c.status || c.status == 503 && (code(t, answer) != "send_again" || answer.Header.Get("Retry-After") == "") {
			t.Errorf("%s: %d %v", name, answer.StatusCode, answer.Header)
		}
		rs.check(t, c.nonces...)
		if c.status == 503 {
			if answer := send(); answer.StatusCode != http.StatusOK {
				t.Errorf("%s, sent again: %d", name, answer.StatusCode)
			}
			rs.check(t, "n1")
		}
		rs.mu.Lock()
		if last := rs.bodies[len(rs.bodies)-1]; last != sent {
			t.Errorf("%s: %d bytes arrived of %d", name, len(last), c.size)
		}
		rs.mu.Unlock()
	}
}

// A token that is bound to a key that is not there cannot be sent, and must not
// be sent without.
func TestBoundTokenWithoutItsKey(t *testing.T) {
	for name, key := range map[string][]byte{"none": nil, "garbage": []byte("garbage")} {
		rs := newResource(t)
		tokens := bound(t)
		tokens.Key = key
		r := newRig(t, parts{upstream: rs.URL, tokens: tokens})
		if answer := r.do(r.call("GET", "/api")); answer.StatusCode != http.StatusBadGateway || code(t, answer) != "token_unavailable" {
			t.Errorf("%s: %d", name, answer.StatusCode)
		}
		if len(rs.requests()) > 0 || bytes.Contains(r.log.Bytes(), []byte(accessToken)) {
			t.Errorf("%s: %d calls arrived, log %s", name, len(rs.requests()), r.log)
		}
	}
	rs := newResource(t)
	tokens := bound(t)
	tokens.Access.Type = "mac"
	r := newRig(t, parts{upstream: rs.URL, tokens: tokens})
	if answer := r.do(r.call("GET", "/api")); answer.StatusCode != http.StatusBadGateway {
		t.Errorf("a token of unknown type: %d", answer.StatusCode)
	}
}

// DPOP-09: after a renewal the token may be bound to another key.
func TestRenewalBindsToAnotherKey(t *testing.T) {
	rs := newResource(t)
	tokens := bound(t)
	tokens.Access.Expiry = time.Now().Add(-time.Second)
	r := newRig(t, parts{upstream: rs.URL, tokens: tokens})
	r.refresh = func(context.Context, token.Set, token.Target) (token.Set, error) { return bound(t), nil }
	if answer := r.do(r.call("GET", "/api")); answer.StatusCode != http.StatusOK {
		t.Errorf("%d", answer.StatusCode)
	}
	rs.check(t, "")
}

// DPOP-01: a request that has to be repeated, since its connection has died
// after it was sent, has a proof of its own.
func TestLostConnection(t *testing.T) {
	var dying atomic.Bool
	rs := newResource(t)
	rs.upstream.Config.Handler = func(usual http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if dying.CompareAndSwap(true, false) {
				rs.mu.Lock()
				rs.verify(r) // it has seen the proof
				rs.mu.Unlock()
				conn, _, err := http.NewResponseController(w).Hijack()
				must(t, err)
				conn.Close()
				return
			}
			usual.ServeHTTP(w, r)
		}
	}(rs.upstream.Config.Handler)
	r := newRig(t, parts{upstream: rs.URL, tokens: bound(t)})
	server := r.serve(t)
	call := func(method string) int {
		answer, err := http.DefaultClient.Do(r.request(t, method, server.URL+"/api", nil))
		must(t, err)
		defer answer.Body.Close()
		_, err = io.Copy(io.Discard, answer.Body)
		must(t, err)
		return answer.StatusCode
	}
	for range 2 { // the second time on a connection that was used before
		dying.Store(true)
		if status := call("GET"); status != http.StatusOK {
			t.Errorf("GET: %d", status)
		}
	}
	for _, r := range rs.requests() {
		if len(r.TransferEncoding) > 0 || r.ContentLength != 0 {
			t.Errorf("a GET arrived with a body: %v, %d", r.TransferEncoding, r.ContentLength)
		}
	}
	// What is not safe is not repeated: it may have been carried out.
	dying.Store(true)
	if status := call("POST"); status != http.StatusBadGateway {
		t.Errorf("POST: %d", status)
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.wrong) > 0 {
		t.Errorf("the resource server found: %q", rs.wrong)
	}
}

// A socket is opened with a proof, too.
func TestSocketWithABoundToken(t *testing.T) {
	u := newUpstream(t, echo)
	r := newRig(t, parts{upstream: u.URL, tokens: bound(t)})
	conn := dial(t, r.serve(t))
	req := r.request(t, "GET", "http://shop/api/socket", nil, "Connection: Upgrade", "Upgrade: websocket", "Origin: "+publicOrigin)
	must(t, req.Write(conn))
	answer, err := http.ReadResponse(bufio.NewReader(conn), req)
	must(t, err)
	got := u.last(t).Header
	if answer.StatusCode != http.StatusSwitchingProtocols || got.Get("Authorization") != "DPoP "+accessToken || len(got["Dpop"]) != 1 {
		t.Errorf("%s, %v", answer.Status, got)
	}
}
