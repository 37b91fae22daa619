package provider

import (
	"context"
	"errors"
	"slices"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// NewKey makes the key that the tokens of a login will be bound to (RFC 9449).
// It is nil if the policy wants none, or if the provider takes only keys too
// large for a cookie: Exchange then makes one. Its error matches ErrUnavailable
// if it is not known what the provider takes.
func (c *Client) NewKey(ctx context.Context) (*dpop.Key, error) {
	if !c.binds() {
		return nil, nil
	}
	s, err := c.snapshot.get(ctx)
	if err != nil {
		return nil, err
	}
	if !takesCompact(s.metadata.ProofAlgorithms) {
		return nil, nil
	}
	return c.makeKey(s)
}

// binds says whether the policy wants tokens that are bound to a key.
func (c *Client) binds() bool {
	mode := c.config.Provider.DPoP
	return mode == v1alpha1.DPoPRequired || mode == v1alpha1.DPoPPreferred
}

// takesCompact says whether a small key would do. A provider that says nothing
// takes one.
func takesCompact(algorithms []string) bool {
	return len(algorithms) == 0 || slices.Contains(algorithms, "ES256") || slices.Contains(algorithms, "EdDSA")
}

// makeKey makes a key, or none if the policy wants none or can do without.
func (c *Client) makeKey(s *snapshot) (*dpop.Key, error) {
	if !c.binds() {
		return nil, nil
	}
	key, err := dpop.NewKey(s.metadata.ProofAlgorithms)
	switch {
	case err != nil && c.config.Provider.DPoP == v1alpha1.DPoPPreferred:
		return nil, nil
	case err != nil:
		return nil, failure("make a key for proofs", ReasonKey, errors.New("dpop_signing_alg_values_supported has no algorithm that this client knows"))
	}
	return key, nil
}

// keyOf is the key of a set, or a new one if it cannot be used, or not any more
// at this provider: the refresh token of a confidential client is bound to the
// client and not to a key (RFC 9449 section 5).
func (c *Client) keyOf(s *snapshot, set token.Set) (*dpop.Key, error) {
	if !c.binds() {
		return nil, nil
	}
	if len(set.Key) > 0 {
		if key, err := dpop.ParseKey(set.Key); err == nil && key.TakenBy(s.metadata.ProofAlgorithms) {
			return key, nil
		}
	}
	return c.makeKey(s)
}
