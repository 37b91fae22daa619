package provider

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keySet is the provider's public keys (OpenID Connect Core section 10.1). It
// implements oidc.KeySet, and differs from go-oidc's own in that a token with
// an unknown key id cannot make it fetch without end (OIDC-12), and in that a
// key the provider has withdrawn is forgotten after maxAge.
type keySet struct {
	url  string
	keys *cached[[]jose.JSONWebKey]
}

func newKeySet(url string, client *http.Client, clock func() time.Time) *keySet {
	return &keySet{url: url, keys: newCached(clock, func(ctx context.Context) ([]jose.JSONWebKey, error) {
		return fetchKeys(ctx, client, url)
	})}
}

var errSignature = errors.New("no key of the provider verifies the signature")

// VerifySignature returns the payload of a JWT that one of the provider's keys
// has signed.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(jwt, joseAlgorithms(asymmetric))
	if err != nil || len(jws.Signatures) != 1 {
		return nil, errSignature
	}
	keys, err := k.keys.get(ctx)
	if err != nil {
		return nil, err
	}
	if payload, ok := verify(jws, keys); ok {
		return payload, nil
	}
	// The provider may have a new key (section 10.1.1).
	keys, err = k.keys.renewed(ctx)
	if err != nil {
		return nil, err
	}
	if payload, ok := verify(jws, keys); ok {
		return payload, nil
	}
	return nil, errSignature
}

// verify tries every key that may be meant: ids need not be unique, and a token
// need not name one. Keys in the token's own header are never looked at.
func verify(jws *jose.JSONWebSignature, keys []jose.JSONWebKey) ([]byte, bool) {
	header := jws.Signatures[0].Protected
	for _, key := range keys {
		switch {
		case header.KeyID != "" && key.KeyID != header.KeyID,
			key.Algorithm != "" && key.Algorithm != header.Algorithm,
			key.Use != "" && key.Use != "sig":
			continue
		}
		if payload, err := jws.Verify(&key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// isWeak says whether a key is shorter than RFC 7518 section 3.3 allows.
func isWeak(key jose.JSONWebKey) bool {
	public, ok := key.Key.(*rsa.PublicKey)
	return ok && public.N.BitLen() < 2048
}

func joseAlgorithms(names []string) []jose.SignatureAlgorithm {
	algorithms := make([]jose.SignatureAlgorithm, len(names))
	for i, name := range names {
		algorithms[i] = jose.SignatureAlgorithm(name)
	}
	return algorithms
}

func fetchKeys(ctx context.Context, client *http.Client, url string) ([]jose.JSONWebKey, error) {
	const attempt = "fetch the provider's keys"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, failure(attempt, ReasonMetadata, errors.New("jwks_uri cannot be requested"))
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, callFailure(attempt, err, ReasonKeys)
	}
	defer response.Body.Close()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil || set.Keys == nil {
		return nil, failure(attempt, ReasonKeys, nil)
	}
	keys := []jose.JSONWebKey{}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		// Keys of kinds that are not understood are skipped (RFC 7517 section 5), and
		// so is what is not a public key: a signature that a shared secret or a
		// published private key can make proves nothing.
		if json.Unmarshal(raw, &key) == nil && key.Valid() && key.IsPublic() && !isWeak(key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, failure(attempt, ReasonKeys, fmt.Errorf("none of %d keys is a public key for signatures", len(set.Keys)))
	}
	return keys, nil
}
