// Package proof checks DPoP proofs the way a strict server does (RFC 9449
// section 4.3).
package proof

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ErrNonce says that a proof is good but does not carry the nonce in force.
var ErrNonce = errors.New("the proof does not carry the nonce in force")

// Proof is a proof that was accepted.
type Proof struct {
	// Thumbprint of its key (RFC 7638), in base64url.
	Thumbprint string
	Algorithm  string
	JTI        string
	Nonce      string
	Claims     map[string]any
	Header     map[string]any
}

// Checker is one server's memory of proofs. Its zero value has seen none.
type Checker struct {
	mu   sync.Mutex
	seen map[string]bool
}

var asymmetric = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	jose.PS256, jose.PS384, jose.PS512, jose.RS256, jose.RS384, jose.RS512}

// Request is what a proof has to be for.
type Request struct {
	Header http.Header
	Method string
	// URL as the client sees it; query and fragment do not matter.
	URL string
	// AccessToken the request carries, "" at a token endpoint.
	AccessToken string
	// Nonce in force, "" if none is demanded.
	Nonce string
	Now   time.Time
	// Algorithms accepted, by their JWS names. Empty: every asymmetric one.
	Algorithms []string
}

// Check accepts a proof or says what is wrong with it. The error is ErrNonce if
// nothing but the nonce is.
func (c *Checker) Check(r Request) (Proof, error) {
	values := r.Header.Values("DPoP")
	if len(values) != 1 {
		return Proof{}, fmt.Errorf("%d DPoP headers, want one", len(values))
	}
	algorithms := asymmetric
	if len(r.Algorithms) > 0 {
		algorithms = nil
		for _, name := range r.Algorithms {
			algorithms = append(algorithms, jose.SignatureAlgorithm(name))
		}
	}
	jws, err := jose.ParseSignedCompact(values[0], algorithms)
	if err != nil {
		return Proof{}, fmt.Errorf("not a JWS of an accepted algorithm: %w", err)
	}
	p := Proof{Header: headerOf(values[0])}
	if p.Header["typ"] != "dpop+jwt" {
		return p, fmt.Errorf("typ is %v, want dpop+jwt", p.Header["typ"])
	}
	key := jws.Signatures[0].Protected.JSONWebKey
	if raw, ok := p.Header["jwk"].(map[string]any); !ok || key == nil || !key.Valid() || !key.IsPublic() || raw["d"] != nil || raw["k"] != nil {
		return p, errors.New("jwk is not a public key")
	}
	payload, err := jws.Verify(key.Key)
	if err != nil {
		return p, fmt.Errorf("signature: %w", err)
	}
	if err := json.Unmarshal(payload, &p.Claims); err != nil {
		return p, fmt.Errorf("payload: %w", err)
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return p, err
	}
	p.Thumbprint = base64.RawURLEncoding.EncodeToString(sum)
	p.Algorithm = jws.Signatures[0].Protected.Algorithm
	p.Nonce, _ = p.Claims["nonce"].(string)
	return p, c.claims(&p, r)
}

func (c *Checker) claims(p *Proof, r Request) error {
	if p.Claims["htm"] != r.Method {
		return fmt.Errorf("htm is %v, want %s", p.Claims["htm"], r.Method)
	}
	if want := withoutQuery(r.URL); p.Claims["htu"] != want {
		return fmt.Errorf("htu is %v, want %s", p.Claims["htu"], want)
	}
	issued, ok := p.Claims["iat"].(float64)
	if age := r.Now.Sub(time.Unix(int64(issued), 0)); !ok || age > time.Minute || age < -5*time.Second {
		return fmt.Errorf("iat %v is not now, which is %d", p.Claims["iat"], r.Now.Unix())
	}
	p.JTI, _ = p.Claims["jti"].(string)
	if len(p.JTI) < 16 { // 96 bits in base64
		return fmt.Errorf("jti %q holds less than 96 bits", p.JTI)
	}
	if !c.first(p.JTI) {
		return fmt.Errorf("jti %q was used before", p.JTI)
	}
	if r.AccessToken != "" {
		sum := sha256.Sum256([]byte(r.AccessToken))
		if want := base64.RawURLEncoding.EncodeToString(sum[:]); p.Claims["ath"] != want {
			return fmt.Errorf("ath is %v, want %s", p.Claims["ath"], want)
		}
	}
	if r.Nonce != "" && p.Nonce != r.Nonce {
		return ErrNonce
	}
	return nil
}

func (c *Checker) first(jti string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[jti] {
		return false
	}
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[jti] = true
	return true
}

func headerOf(compact string) map[string]any {
	var header map[string]any
	for i := range compact {
		if compact[i] == '.' {
			if raw, err := base64.RawURLEncoding.DecodeString(compact[:i]); err == nil {
				_ = json.Unmarshal(raw, &header) // checked by the caller
			}
			break
		}
	}
	return header
}

func withoutQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
	return u.String()
}
