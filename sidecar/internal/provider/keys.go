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
// differs from go-oidc's own in that a token with an unknown key id cannot make
// it fetch without end (OIDC-12), in that a key the provider has withdrawn is
// forgotten after maxAge, and in that known keys serve on while newer ones
// cannot be fetched.
type keySet struct {
	url  string
	keys *cached[[]jose.JSONWebKey]

	// Each kind of sender has an allowance of its own for keys that are not known:
	// anybody may send a logout token, and must not use up what the answers of the
	// provider itself may need.
	answers, strangers allowance
}

func newKeySet(url string, client *http.Client, clock func() time.Time) *keySet {
	return &keySet{url: url, keys: newCached(clock, func(ctx context.Context) ([]jose.JSONWebKey, error) {
		return fetchKeys(ctx, client, url)
	})}
}

// verify returns the payload of a JWT that one of the provider's keys has
// signed. Its error is errSignature, or matches ErrUnavailable if the keys
// cannot be had.
func (k *keySet) verify(ctx context.Context, jwt signed, a *allowance) ([]byte, error) {
	keys, err := k.keys.get(ctx)
	if err != nil {
		return nil, err
	}
	if payload, ok := jwt.verify(keys); ok {
		return payload, nil
	}
	// The provider may have a new key (section 10.1.1).
	keys, current, err := k.keys.renewed(ctx, a)
	if err != nil {
		return nil, err
	}
	if payload, ok := jwt.verify(keys); ok {
		return payload, nil
	}
	if !current && len(jwt.candidates(keys)) == 0 {
		return nil, failure("find the key of a signature", ReasonKeysOutdated, nil)
	}
	return nil, errSignature
}

// isWeak says whether a key is shorter than RFC 7518 section 3.3 allows.
func isWeak(key jose.JSONWebKey) bool {
	public, ok := key.Key.(*rsa.PublicKey)
	return ok && public.N.BitLen() < 2048
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
