//go:build conformance

package conformance

import (
	"bufio"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// proofsOf are the claims of the proofs on requests to AS*.
func (w *world) proofsOf(requests []*as.Request) []map[string]any {
	w.Helper()
	var proofs []map[string]any
	for _, r := range requests {
		_, claims, err := as.Decode(r.Header.Get("DPoP"))
		if err != nil || len(r.Header.Values("DPoP")) != 1 {
			w.Fatalf("%s: %d proofs, %v", r.Endpoint, len(r.Header.Values("DPoP")), err)
		}
		proofs = append(proofs, claims)
	}
	return proofs
}

// distinct checks that no value stands there twice, and how many there are.
func (w *world) distinct(what string, values []any, want int) {
	w.Helper()
	seen := map[any]bool{}
	for _, value := range values {
		seen[value] = true
	}
	if len(values) != want || len(seen) != want || seen[nil] {
		w.Errorf("%s: %d different ones in %d, want %d: %v", what, len(seen), len(values), want, values)
	}
}

func TestDPOP_01_02_03_04_EveryRequestHasAProofOfItsOwn(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-01", "DPOP-02", "DPOP-03", "DPOP-04", "DPOP-10")
	w := newWorld(t, bound(), policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.UserInfo = v1alpha1.Enabled }))
	api := w.wantBound(w.RS)
	w.Login()
	calls := 0
	for _, target := range []string{"/api/x", "/api/x?a=1&b=%2F#f", "/api/a%20b/c%2Bd", "/api/", "/api/x?"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			calls++
			if r := w.Call(method, target); r.Status != http.StatusOK {
				t.Errorf("%s %s: %s", method, target, r)
			}
		}
	}
	var ids []any
	for _, p := range api.Shown() {
		ids = append(ids, p.JTI)
		jwk, _ := p.Header["jwk"].(map[string]any)
		if members := slices.Sorted(maps.Keys(jwk)); !slices.Equal(members, []string{"crv", "kty", "x", "y"}) || p.Header["alg"] != "ES256" {
			t.Errorf("the key's members are %v, alg is %v", members, p.Header["alg"])
		}
		// The call as the API sees it, not as the browser made it.
		if htu, _ := p.Claims["htu"].(string); !strings.HasPrefix(htu, w.RS.URL+"/api/") || strings.ContainsAny(htu, "?#") {
			t.Errorf("htu is %v", p.Claims["htu"])
		}
	}
	for _, at := range []as.Endpoint{as.Token, as.UserInfo} {
		for _, claims := range w.proofsOf(w.AS.Requests(at)) {
			ids = append(ids, claims["jti"])
		}
	}
	w.distinct("jti", ids, calls+2)
	if _, has := w.proofsOf(w.AS.Requests(as.UserInfo))[0]["ath"]; !has || w.AS.Last(as.UserInfo).Header.Get("Authorization")[:5] != "DPoP " {
		t.Error("UserInfo was asked without scheme DPoP or without ath")
	}
}

func TestDPOP_01_ALostConnectionCostsAnotherProof(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-01")
	w := newWorld(t, bound())
	api := w.wantBound(w.RS)
	w.Login()
	hangUp := true
	w.RS.Answer(func(r *rs.Request) rs.Reply {
		if hangUp {
			hangUp = false
			api.answer(r) // takes the proof, and its answer is lost
			return rs.Reply{Raw: func(net.Conn, *bufio.Reader) {}}
		}
		return api.answer(r)
	})
	if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
		t.Error(r)
	}
	w.WantUpstream(2) // a proof that was sent twice would be wrong
}

func TestDPOP_06_TheBrowsersProofIsDropped(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-06")
	w := newWorld(t, bound())
	w.wantBound(w.RS)
	w.Login()
	for _, name := range []string{"DPoP", "dpop", "DPOP", "Dpop"} {
		answer := w.UA.Raw(shopURL, "GET /api/x HTTP/1.1\r\nHost: "+hostOf(shopURL)+"\r\nX-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nCookie: $COOKIES\r\n"+
			name+": eyJ0eXAiOiJkcG9wK2p3dCJ9.e30.x\r\nAuthorization: DPoP of-the-browser\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Errorf("%s: %.300s", name, answer)
		}
		if got := w.RS.Last(); strings.Count(strings.ToLower(got.Head), "\ndpop:") != 1 || strings.Contains(got.Head, "of-the-browser") {
			t.Errorf("%s: RS* was sent\n%s", name, strings.ReplaceAll(got.Head, got.Token(), "…"))
		}
	}
}

func TestDPOP_07_EveryTokenRequestHasAProof(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-07")
	w := newWorld(t, bound(), policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Routes[1].Token.Scopes = []string{"openid"} // a token of its own
	}), behaviour(func(b *as.Behaviour) { b.RequireDPoP, b.AccessLifetime = true, time.Second }))
	w.wantBound(w.RS)
	w.Login()
	w.Eventually("refreshes for both routes", func() bool {
		for _, path := range []string{"/api/x", "/api/readonly/x"} {
			if r := w.Call("GET", path); r.Status != http.StatusOK {
				t.Fatal(r)
			}
		}
		narrowed := len(slices.DeleteFunc(w.AS.Grants("refresh_token"), func(r *as.Request) bool { return !r.Form.Has("scope") }))
		return narrowed > 0 && len(w.AS.Grants("refresh_token")) > narrowed
	})
	key := w.thumbprint(w.AS.Requests(as.Token)[0])
	for i, claims := range w.proofsOf(w.AS.Requests(as.Token)) {
		if r := w.AS.Requests(as.Token)[i]; claims["htu"] != w.AS.URL(as.Token) || claims["htm"] != "POST" || w.thumbprint(r) != key {
			t.Errorf("token request %d: htm %v, htu %v, or another key", i, claims["htm"], claims["htu"])
		}
	}
}

func TestDPOP_08_ATokenThatIsNotBound(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-08")
	unbound := func(_ string, body map[string]any) { body["token_type"] = "Bearer" }
	for name, provider := range map[string]func(*as.Behaviour){
		"the provider has no DPoP":  func(b *as.Behaviour) { b.WithoutDPoP = true },
		"it forgets what it offers": func(b *as.Behaviour) { b.TokenResponse = unbound },
	} {
		t.Run(name, func(t *testing.T) {
			required := newWorld(t, bound(), behaviour(provider))
			required.WantNoLogin(required.LoginAt(required.UA, ""))

			preferred := newWorld(t, binding(v1alpha1.DPoPPreferred), behaviour(provider))
			preferred.WantLogin(preferred.LoginAt(preferred.UA, ""))
			if r := preferred.Call("GET", "/api/x"); r.Status != http.StatusOK || preferred.RS.Last().Scheme() != "Bearer" || preferred.RS.Last().Header.Get("DPoP") != "" {
				t.Errorf("%s, with scheme %q", r, preferred.RS.Last().Scheme())
			}
		})
	}
	t.Run("at a refresh", func(t *testing.T) {
		w := newWorld(t, bound(), behaviour(func(b *as.Behaviour) { b.AccessLifetime, b.Rotation = time.Second, as.Keep }))
		w.wantBound(w.RS) // a Bearer token would be wrong
		w.Login()
		w.AS.Change(func(b *as.Behaviour) { b.TokenResponse = unbound })
		w.Eventually("the token is over and the next one of no use", func() bool { return w.Call("GET", "/api/x").Status >= 500 })
		if !w.Session().Authenticated {
			t.Error("the session has ended")
		}
	})
}

func TestDPOP_09_AnotherKeyDoesNotCostTheSession(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-09")
	w := newWorld(t, bound(), policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Routes[1].Token.Scopes = []string{"openid"} // a token of its own
	}), behaviour(func(b *as.Behaviour) { b.DPoPAlgorithms = []string{"ES256"} }))
	w.wantBound(w.RS)
	w.Login()
	cookie, first := w.Cookie(), w.thumbprint(w.AS.Last(as.Token))
	paths := []string{"/api/x", "/api/readonly/x"}
	for _, path := range paths {
		if r := w.Call("GET", path); r.Status != http.StatusOK {
			t.Fatal(r)
		}
	}
	// The provider gives up the algorithm of the key. The next sidecar knows.
	w.AS.Change(func(b *as.Behaviour) { b.DPoPAlgorithms = []string{"EdDSA"} })
	w.Replicas[0].Stop()
	w.Start()
	w.Target(1)
	w.AS.ExpireAccessTokens()
	for _, path := range slices.Concat(paths, paths) {
		if r := w.Call("GET", path); r.Status != http.StatusOK {
			t.Errorf("%s: %s", path, r)
		}
		if second := thumbprintOf(t, w.RS.Last().Header); second == first || second != w.thumbprint(w.AS.Last(as.Token)) {
			t.Errorf("%s: the key is %s, the first was %s", path, second, first)
		}
	}
	if w.Cookie() != cookie || len(w.AS.Requests(as.Authorize)) != 1 {
		t.Error("the user had to log in again")
	}
}

func TestDPOP_09_TokensOfTheOldKeyGoWithIt(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-09")
	w := newWorld(t, bound(), policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Routes[1].Token.Scopes = []string{"openid"}
	}), behaviour(func(b *as.Behaviour) {
		b.DPoPAlgorithms = []string{"ES256"}
		b.TokenResponse = func(grant string, body map[string]any) {
			if grant == "authorization_code" {
				body["expires_in"] = 1 // the login's token is renewed before the narrowed one
			}
		}
	}))
	w.wantBound(w.RS)
	w.Login()
	if r := w.Call("GET", "/api/readonly/x"); r.Status != http.StatusOK {
		t.Fatal(r)
	}
	w.AS.Change(func(b *as.Behaviour) { b.DPoPAlgorithms = []string{"EdDSA"} })
	w.Replicas[0].Stop()
	w.Start()
	w.Target(1)
	refreshes := len(w.AS.Grants("refresh_token"))
	w.Eventually("a refresh with a new key", func() bool {
		if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
			t.Fatal(r)
		}
		return len(w.AS.Grants("refresh_token")) > refreshes
	})
	for _, path := range []string{"/api/x", "/api/readonly/x"} {
		if r := w.Call("GET", path); r.Status != http.StatusOK {
			t.Errorf("%s: %s", path, r)
		}
	}
}

func TestDPOP_16_TheAlgorithmIsOneThatTheProviderTakes(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-16")
	for offered, want := range map[string]string{
		"ES256": "ES256", "PS256 ES256": "ES256", "EdDSA": "EdDSA", "PS256": "PS256", "RS256": "RS256", "ES384": "ES384", "HS256 none ES256": "ES256",
		"HS256 none": "", "XX256": "",
	} {
		t.Run(offered, func(t *testing.T) {
			w := newWorld(t, bound(), behaviour(func(b *as.Behaviour) { b.DPoPAlgorithms = strings.Fields(offered) }))
			api := w.wantBound(w.RS)
			r := w.LoginAt(w.UA, "")
			if want == "" {
				w.WantNoLogin(r)
				if n := len(w.AS.Requests(as.Token)); n != 0 {
					t.Errorf("%d token requests", n)
				}
				return
			}
			w.WantLogin(r)
			if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
				t.Error(r)
			}
			header, _, err := as.Decode(w.AS.Last(as.Token).Header.Get("DPoP"))
			if err != nil || header["alg"] != want || api.Shown()[0].Algorithm != want {
				t.Errorf("proofs are signed by %v and %s, want %s; %v", header["alg"], api.Shown()[0].Algorithm, want, err)
			}
		})
	}
}

func TestDPOP_18_TheCodeIsBoundToTheKey(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-18")
	w := newWorld(t, bound(), behaviour(func(b *as.Behaviour) { b.WithoutPAR = true }))
	w.Login()
	if got, want := w.AS.Last(as.Authorize).Query.Get("dpop_jkt"), w.thumbprint(w.AS.Last(as.Token)); got != want {
		t.Errorf("dpop_jkt is %q, the code was redeemed with the key %q", got, want)
	}
	// A code that somebody else has got, bound to another key, is worth nothing: AS*
	// refuses it, which it would write down as a violation.
	stolen := newWorld(t, bound(), mayViolate(), behaviour(func(b *as.Behaviour) { b.WithoutPAR = true }))
	stolen.AS.Change(func(b *as.Behaviour) {
		b.AuthorizeResponse = func(response, request url.Values) {
			bound := maps.Clone(request)
			bound.Set("dpop_jkt", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")
			response.Set("code", stolen.AS.Code(bound))
		}
	})
	stolen.WantNoLogin(stolen.LoginAt(stolen.UA, ""))
}

func TestDPOP_19_TheBrowserLearnsNothingOfIt(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-19")
	for name, options := range map[string][]option{"DPoP": {bound()}, "Bearer": nil} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, options...)
			w.Login()
			for _, test := range []struct {
				status     int
				challenges []string
				want       []string
			}{
				{200, nil, nil}, {403, nil, nil}, {500, nil, nil},
				{401, []string{`DPoP algs="ES256"`}, nil},
				{401, []string{`DPoP error="invalid_dpop_proof"`}, nil},
				{401, []string{`Basic realm="x", DPoP error="insufficient_scope", algs="ES256"`}, []string{`Basic realm="x"`}},
				{401, []string{`dpop error="insufficient_scope"`, `Basic realm="x"`}, []string{`Basic realm="x"`}},
				{403, []string{`DPoP error="insufficient_scope", scope="a"`}, nil},
				{401, []string{`Digest realm="x`, `DPoP error="invalid_dpop_proof"`}, nil}, // not to be read for certain
			} {
				w.RS.Answer(func(*rs.Request) rs.Reply {
					fields := rs.Fields("DPoP-Nonce", "n-"+randomHex(4), "dpop-nonce", "n-"+randomHex(4))
					for _, challenge := range test.challenges {
						fields = append(fields, rs.Fields("WWW-Authenticate", challenge)...)
					}
					return rs.Reply{Status: test.status, Fields: fields}
				})
				r := w.Call("GET", "/api/x")
				if r.Status != test.status || r.Header.Values("DPoP-Nonce") != nil || !slices.Equal(r.Header.Values("WWW-Authenticate"), test.want) {
					t.Errorf("%d %q: %d with %v", test.status, test.challenges, r.Status, r.Header)
				}
			}
		})
	}
}

func TestDPOP_20_EverySessionHasAKeyAndEveryReplicaKnowsIt(t *testing.T) {
	t.Parallel()
	covers(t, "DPOP-20", "DPOP-09")
	w := newWorld(t, bound(), replicas(2))
	w.wantBound(w.RS)
	agents := []*ua.Agent{w.UA, w.NewAgent()}
	var keys []any
	for i, agent := range agents {
		w.Target(0)
		w.LoginAt(agent, "")
		key := w.thumbprint(w.AS.Last(as.Token))
		keys = append(keys, key)
		for replica := range w.Replicas {
			w.Target(replica)
			if r := agent.Fetch(w.CallOf("GET", "/api/x")); r.Status != http.StatusOK || thumbprintOf(t, w.RS.Last().Header) != key {
				t.Errorf("user %d at replica %d: %s, or another key", i, replica, r)
			}
		}
	}
	w.distinct("keys", keys, len(agents))
	for name, text := range map[string]string{"the browser": w.UA.Received(), "the store": w.Dump(), "the log": w.Logs()} {
		for _, trace := range []string{`"jwk"`, `"d":`, "PRIVATE KEY", "dpop+jwt"} {
			if strings.Contains(text, trace) {
				t.Errorf("%s has seen %q", name, trace)
			}
		}
	}
}
