//go:build conformance

package conformance

import (
	"bytes"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
)

func TestDPOP_05_12_TheProvidersNonce(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-05", "DPOP-12", "DPOP-01", "JWTA-05")
	for name, without := range map[string]bool{"at the push": false, "at the token endpoint": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, bound(), newClientKey(t).option(), behaviour(func(b *as.Behaviour) {
				b.DPoPNonce, b.WithoutPAR, b.AccessLifetime = true, without, time.Second
			}))
			w.wantBound(w.RS)
			w.Login()
			first, at := w.AS.Requests(as.Token), as.Token
			if !without {
				first, at = w.AS.Requests(as.PAR), as.PAR
				if n := len(w.AS.Requests(as.Token)); n != 1 {
					t.Errorf("%d token requests, though the nonce was known", n)
				}
			}
			if len(first) != 2 {
				t.Fatalf("%d requests to %s, want one and one more", len(first), at)
			}
			proofs := w.proofsOf(first)
			if _, had := proofs[0]["nonce"]; had || proofs[1]["nonce"] != w.AS.Nonces()[0] {
				t.Errorf("nonces %v, then %v; want none, then %v", proofs[0]["nonce"], proofs[1]["nonce"], w.AS.Nonces()[0])
			}
			// Everything but assertion and proof is the same.
			for parameter := range first[0].Form {
				if same := first[0].Form.Get(parameter) == first[1].Form.Get(parameter); same == (parameter == "client_assertion") {
					t.Errorf("%s: the same is %t", parameter, same)
				}
			}

			// The nonce changes while the session lives: the refresh is asked once more, and
			// the refresh token is not spent by that.
			w.AS.RotateNonce()
			w.Eventually("a refresh", func() bool {
				if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
					t.Fatal(r)
				}
				return len(w.AS.Grants("refresh_token")) >= 2
			})
			refreshes := w.AS.Grants("refresh_token")
			if proofs := w.proofsOf(refreshes); proofs[0]["nonce"] != w.AS.Nonces()[0] || proofs[1]["nonce"] != w.AS.Nonces()[1] {
				t.Errorf("nonces %v, then %v; want %v", proofs[0]["nonce"], proofs[1]["nonce"], w.AS.Nonces())
			}
			var ids, assertions []any
			all := slices.Concat(w.AS.Requests(as.PAR), w.AS.Requests(as.Token))
			for i, claims := range w.proofsOf(all) {
				_, assertion := w.assertion(all[i])
				ids, assertions = append(ids, claims["jti"]), append(assertions, assertion["jti"])
			}
			w.distinct("jti of proofs", ids, len(all))
			w.distinct("jti of assertions", assertions, len(all))
		})
	}
}

func TestDPOP_12_AProviderThatWantsEverNewNoncesIsAskedTwice(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-12")
	w := newWorld(t, bound(), behaviour(func(b *as.Behaviour) {
		b.WithoutPAR = true
		b.Answer = map[as.Endpoint]func(http.ResponseWriter, *http.Request) bool{as.Token: func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.Header().Set("DPoP-Nonce", randomHex(8))
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusBadRequest)
			_, _ = rw.Write([]byte(`{"error":"use_dpop_nonce"}`)) // to our own test
			return true
		}}
	}))
	w.WantNoLogin(w.LoginAt(w.UA, ""))
	if n := len(w.AS.Requests(as.Token)); n != 2 {
		t.Errorf("%d token requests, want 2", n)
	}
}

func TestDPOP_10_13_AnAPIsNonce(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-05", "DPOP-10", "DPOP-13", "DPOP-01")
	for name, challenge := range map[string]string{
		"quoted":         `DPoP error="use_dpop_nonce", error_description="Resource server requires nonce in DPoP proof"`,
		"tokens":         `DPoP error=use_dpop_nonce`,
		"in small":       `dpop error="use_dpop_nonce"`,
		"in capitals":    `DPOP ERROR="use_dpop_nonce", algs="ES256 PS256"`,
		"one of several": `Basic realm="a, DPoP", DPoP algs="ES256", error="use_dpop_nonce"`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, bound())
			api := w.wantBound(w.RS)
			w.Login()
			api.Challenge(challenge)
			for i, method := range []string{"GET", "POST", "PUT", "DELETE"} {
				api.Demand("rs-nonce-"+randomHex(8), false) // another one before every call
				w.RS.Forget()
				call := w.CallOf(method, "/api/x?q=1")
				if r := w.UA.Fetch(call); r.Status != http.StatusOK {
					t.Errorf("%s: %s", method, r)
				}
				w.WantUpstream(2)
				for _, r := range w.RS.Requests() {
					if !bytes.Equal(r.Body, call.Body) {
						t.Errorf("%s: the API got %q", method, r.Body)
					}
				}
				if got := api.Shown()[2*i+1].Nonce; got != api.Nonces()[i] {
					t.Errorf("%s: nonce %q, want %q", method, got, api.Nonces()[i])
				}
			}
		})
	}
}

func TestDPOP_13_AnUploadIsNotHeldInMemory(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-13")
	w := newWorld(t, bound())
	api := w.wantBound(w.RS)
	w.Login()
	api.Demand("rs-nonce-"+randomHex(8), false)
	upload := w.CallOf("POST", "/api/upload")
	upload.Header.Set("Content-Type", "application/octet-stream")
	upload.Body = bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
	// The body has gone when the nonce is asked for: the page is told to send it
	// again, with what the sidecar knows now.
	p := w.WantProblem(w.UA.Fetch(upload), http.StatusServiceUnavailable, "send_again")
	if p.Detail == "" {
		t.Error("the page is not told what to do")
	}
	if r := w.UA.Fetch(upload); r.Status != http.StatusOK || !bytes.Equal(w.RS.Last().Body, upload.Body) {
		t.Errorf("%s; the API got %d bytes", r, len(w.RS.Last().Body))
	}
	w.WantUpstream(2)
}

func TestDPOP_13_AnAPIThatWantsEverNewNoncesIsAskedTwice(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-13", "DPOP-19")
	w := newWorld(t, bound(), api(func(*rs.Request) rs.Reply {
		reply := refusal(`DPoP error="use_dpop_nonce"`)
		reply.Fields = append(reply.Fields, rs.Fields("DPoP-Nonce", randomHex(8))...)
		return reply
	}))
	w.Login()
	if r := w.Call("GET", "/api/x"); r.Status != http.StatusUnauthorized || r.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%s with %v", r, r.Header)
	}
	w.WantUpstream(2)
	if !w.Session().Authenticated || len(w.AS.Grants("refresh_token")) != 0 {
		t.Error("the session or its tokens had to do with it")
	}
}

func TestDPOP_14_ANonceOnAnyAnswerReplacesTheOneBefore(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-14")
	w := newWorld(t, bound(), behaviour(func(b *as.Behaviour) {
		b.DPoPNonce, b.NewNonceEachTime, b.AccessLifetime = true, true, time.Second
	}))
	api := w.wantBound(w.RS)
	w.Login()
	api.Demand("rs-nonce-"+randomHex(8), true)
	const calls = 8
	for range calls {
		if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
			t.Fatal(r)
		}
	}
	w.WantUpstream(calls + 1) // the first one alone is refused
	w.Eventually("refreshes", func() bool {
		if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
			t.Fatal(r)
		}
		return len(w.AS.Grants("refresh_token")) >= 2
	})
	asked := w.proofsOf(slices.Concat(w.AS.Requests(as.PAR), w.AS.Requests(as.Token)))
	if _, had := asked[0]["nonce"]; had {
		t.Error("the first request has a nonce")
	}
	for i, claims := range asked[1:] {
		if claims["nonce"] != w.AS.Nonces()[i] {
			t.Errorf("request %d has the nonce %v, want %v", i+1, claims["nonce"], w.AS.Nonces()[i])
		}
	}
}

func TestDPOP_15_NoncesAreOfOneServer(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-15")
	other := rs.Start(t, rs.Options{})
	w := newWorld(t, bound(), behaviour(func(b *as.Behaviour) { b.DPoPNonce, b.AccessLifetime = true, time.Second }),
		policy(func(s *v1alpha1.BFFPolicySpec) {
			s.Routes = append(s.Routes, v1alpha1.Route{Name: "other", Path: "/other", Upstream: v1alpha1.Upstream{URL: other.URL}})
		}))
	one, two := w.wantBound(w.RS), w.wantBound(other)
	w.Login()
	one.Demand("one-"+randomHex(8), true)
	two.Demand("two-"+randomHex(8), true)
	for range 5 {
		for _, path := range []string{"/api/x", "/other/x"} {
			if r := w.Call("GET", path); r.Status != http.StatusOK {
				t.Fatal(r)
			}
		}
	}
	w.Eventually("a refresh", func() bool { w.Call("GET", "/api/x"); return len(w.AS.Grants("refresh_token")) > 0 })
	for server, shown := range map[*boundAPI]*boundAPI{one: one, two: two} {
		for i, p := range shown.Shown() {
			if i == 0 && p.Nonce == "" {
				continue // it has not said yet that it wants one
			}
			if !slices.Contains(server.Nonces(), p.Nonce) {
				t.Errorf("call %d has the nonce %q, which the server has never given", i, p.Nonce)
			}
		}
	}
	for i, claims := range w.proofsOf(w.AS.Requests(as.Token)) {
		if nonce, _ := claims["nonce"].(string); !slices.Contains(w.AS.Nonces(), nonce) {
			t.Errorf("token request %d has the nonce %q", i, nonce)
		}
	}
	if asked := w.asked().Get("nonce"); slices.Contains(w.AS.Nonces(), asked) {
		t.Error("the nonce of OpenID Connect is one of DPoP")
	}
}
