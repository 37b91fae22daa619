package provider

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
)

// verifyIDToken returns the claims of an ID token that is genuine, agrees with
// want, and belongs to the access token if it says so.
//
// Two verdicts must agree: go-oidc's, which is widely reviewed, and judge's,
// which is stricter and says what is wrong. The signature is verified although
// the token comes straight from the token endpoint, where TLS might do (OpenID
// Connect Core section 3.1.3.7, item 6).
func (s *snapshot) verifyIDToken(ctx context.Context, raw, accessToken string, want expectation) (claims, error) {
	const attempt = "verify ID token"
	jwt, err := parseSigned(raw, s.metadata.Algorithms)
	switch {
	case err != nil:
		return claims{}, failure(attempt, refusal(err, ReasonIDTokenMalformed, ReasonIDTokenEncrypted, ReasonIDTokenAlgorithm), err)
	case !isIDTokenType(jwt.typ):
		return claims{}, failure(attempt, ReasonIDTokenType, nil)
	}
	witness := &witness{keys: s.keys, jwt: jwt}
	verifier := oidc.NewVerifier(want.issuer, witness, &oidc.Config{
		ClientID:             want.clientID,
		SupportedSigningAlgs: s.metadata.Algorithms,
		SkipExpiryCheck:      true, // judge's, since only it knows the policy's clock skew
	})
	idToken, refused := verifier.Verify(ctx, raw)

	switch {
	case errors.Is(witness.err, ErrUnavailable):
		return claims{}, fmt.Errorf("%s: %w", attempt, witness.err)
	case witness.err != nil:
		return claims{}, failure(attempt, ReasonIDTokenSignature, nil)
	}
	// No payload at all if go-oidc has refused the token before its signature.
	c, ok := parseClaims(witness.payload)
	if !ok {
		return claims{}, failure(attempt, ReasonIDTokenMalformed, nil)
	}
	if reason := judge(c, want); reason != "" {
		return claims{}, failure(attempt, reason, nil)
	}
	if refused != nil {
		return claims{}, failure(attempt, ReasonIDTokenMalformed, nil)
	}
	// at_hash is optional here (section 3.1.3.8). A wrong one is not (IDT-17).
	if _, there := c.all["at_hash"]; there && idToken.VerifyAccessToken(accessToken) != nil {
		return claims{}, failure(attempt, ReasonIDTokenAccessHash, nil)
	}
	return c, nil
}

// refusal is the reason of an error of parseSigned.
func refusal(err error, malformed, encrypted, algorithm Reason) Reason {
	switch {
	case errors.Is(err, errEncrypted):
		return encrypted
	case errors.Is(err, errAlgorithm):
		return algorithm
	}
	return malformed
}

// witness keeps what the keys said, since go-oidc keeps only its text.
type witness struct {
	keys    *keySet
	jwt     signed
	payload []byte
	err     error
}

func (w *witness) VerifySignature(ctx context.Context, _ string) ([]byte, error) {
	w.payload, w.err = w.keys.verify(ctx, w.jwt, &w.keys.answers)
	return w.payload, w.err
}

// unverifiedClaims reads the claims of an ID token that was verified when it
// came, and may have expired since.
func unverifiedClaims(raw string) (claims, bool) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return claims{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return claims{}, false
	}
	return parseClaims(payload)
}
