package dpop

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// proofType is the type of a proof (RFC 9449 section 4.2).
const proofType = "dpop+jwt"

// ErrRequest says that a proof was asked for that no server would accept.
var ErrRequest = errors.New("a proof needs a method, an absolute http or https URL without user information, and the time")

// Request is a request to prove the key with.
type Request struct {
	// Method and URL are those that the server will see, not those of a request
	// that is forwarded. Query and fragment of the URL do not matter.
	Method, URL string
	// AccessToken is the token that goes with the request; empty at the
	// authorization server.
	AccessToken string
	// Nonce is the latest one of the server; empty if there is none.
	Nonce string
	// Now is the time of the request.
	Now time.Time
}

// proof is the claims of a proof (RFC 9449 section 4.2).
type proof struct {
	ID       string `json:"jti"`
	Method   string `json:"htm"`
	URL      string `json:"htu"`
	IssuedAt int64  `json:"iat"`
	Hash     string `json:"ath,omitempty"`
	Nonce    string `json:"nonce,omitempty"`
}

// Proof is the value of the header DPoP for one request (RFC 9449 section 4.2).
// It is good for one request: another one, and also the same one sent again,
// needs another proof. The error matches ErrRequest if the request is not one to
// make a proof of.
func (k *Key) Proof(r Request) (string, error) {
	target, ok := target(r.URL)
	if !ok || r.Method == "" || r.Now.IsZero() {
		return "", ErrRequest
	}
	claims := proof{
		ID:     rand.Text(), // 130 random bits, where 96 are demanded
		Method: r.Method, URL: target, IssuedAt: r.Now.Unix(), Nonce: r.Nonce,
	}
	if r.AccessToken != "" {
		sum := sha256.Sum256([]byte(r.AccessToken))
		claims.Hash = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("write a proof: %w", err)
	}
	signed, err := k.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign a proof: %w", err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("write a proof: %w", err)
	}
	return compact, nil
}

// target is a URL without query and fragment. All else stays as it is spelled,
// since that is what the server will see; only an empty path becomes the one
// that is sent (RFC 9112 section 3.2.1).
func target(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return "", false
	}
	if end := strings.IndexAny(raw, "?#"); end >= 0 {
		raw = raw[:end]
	}
	if u.Path == "" {
		raw += "/"
	}
	return raw, true
}
