//go:build conformance

package conformance

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/proof"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
)

// bound has tokens bound to a key by DPoP, or the login refused.
func bound() option { return binding(v1alpha1.DPoPRequired) }

func binding(mode v1alpha1.DPoPMode) option {
	return policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.DPoP = mode })
}

// thumbprint is that of the key which the proof of a request to AS* is made
// with.
func (w *world) thumbprint(r *as.Request) string {
	w.Helper()
	return thumbprintOf(w.T, r.Header)
}

func thumbprintOf(t *testing.T, h http.Header) string {
	t.Helper()
	header, _, err := as.Decode(h.Get("DPoP"))
	if err != nil {
		t.Fatalf("no proof: %v", err)
	}
	var key jose.JSONWebKey
	raw, err := json.Marshal(header["jwk"])
	if err != nil || key.UnmarshalJSON(raw) != nil {
		t.Fatalf("no key in the proof: %v", header)
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// assertion reads the client assertion of a request to AS*.
func (w *world) assertion(r *as.Request) (header, claims map[string]any) {
	w.Helper()
	header, claims, err := as.Decode(r.Form.Get("client_assertion"))
	if err != nil {
		w.Fatalf("%s: no client assertion: %v", r.Endpoint, err)
	}
	return header, claims
}

// boundAPI is an API behind RS* that takes only tokens that are bound to a key,
// with a proof of it (RFC 9449 section 7), and keeps what it was shown.
type boundAPI struct {
	w      *world
	proofs proof.Checker

	mu     sync.Mutex
	nonces []string // demanded: the last one; none if empty
	rotate bool     // a new one with every good answer
	// challenge is what it says when the nonce is wrong.
	challenge string
	shown     []proof.Proof
	wrong     []string
}

// wantBound puts a boundAPI behind a server of the world. The test fails if any
// request to it is not as RFC 9449 says.
func (w *world) wantBound(server *rs.Server) *boundAPI {
	w.Helper()
	b := &boundAPI{w: w, challenge: `DPoP error="use_dpop_nonce", error_description="a nonce is needed"`}
	server.Answer(b.answer)
	w.Cleanup(func() {
		for _, wrong := range b.Wrong() {
			w.Errorf("RS* was sent what RFC 9449 does not allow: %s", wrong)
		}
	})
	return b
}

// Demand demands a nonce from now on.
func (b *boundAPI) Demand(nonce string, rotate bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nonces, b.rotate = append(b.nonces, nonce), rotate
}

// Challenge sets how it says that the nonce is wrong.
func (b *boundAPI) Challenge(value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.challenge = value
}

// Nonces are all it has issued, Shown the proofs it was shown, Wrong what was
// not as it should be.
func (b *boundAPI) Nonces() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.nonces)
}

func (b *boundAPI) Shown() []proof.Proof {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.shown)
}

func (b *boundAPI) Wrong() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.wrong)
}

func (b *boundAPI) answer(r *rs.Request) rs.Reply {
	b.mu.Lock()
	defer b.mu.Unlock()
	nonce := ""
	if n := len(b.nonces); n > 0 {
		nonce = b.nonces[n-1]
	}
	token, good := b.w.AS.TokenInfo(r.Token())
	p, err := b.proofs.Check(proof.Request{Header: r.Header, Method: r.Method, URL: "http://" + r.Host + r.Target,
		AccessToken: r.Token(), Nonce: nonce, Now: time.Now()})
	b.shown = append(b.shown, p)
	var reply rs.Reply
	switch {
	case r.Scheme() != "DPoP":
		b.wrong = append(b.wrong, "scheme "+r.Scheme())
		reply = refusal(`DPoP error="invalid_token"`)
	case err == proof.ErrNonce:
		reply = refusal(b.challenge)
	case err != nil:
		b.wrong = append(b.wrong, err.Error())
		reply = refusal(`DPoP error="invalid_dpop_proof"`)
	case p.Thumbprint != token.Thumbprint:
		b.wrong = append(b.wrong, "a proof of another key than the token is bound to")
		reply = refusal(`DPoP error="invalid_token"`)
	case !good:
		reply = refusal(`DPoP error="invalid_token"`)
	default:
		reply = rs.Echo(r)
		if b.rotate {
			nonce = "rs-nonce-" + randomHex(12)
			b.nonces = append(b.nonces, nonce)
		}
	}
	if nonce != "" {
		reply.Fields = append(reply.Fields, rs.Fields("DPoP-Nonce", nonce)...)
	}
	return reply
}

func refusal(challenge string) rs.Reply {
	return rs.Reply{Status: http.StatusUnauthorized, Fields: rs.Fields("WWW-Authenticate", challenge)}
}
