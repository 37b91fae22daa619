package provider

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

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
	witness := &witness{keys: s.keys}
	verifier := oidc.NewVerifier(want.issuer, witness, &oidc.Config{
		ClientID:             want.clientID,
		SupportedSigningAlgs: s.metadata.Algorithms,
		Now:                  func() time.Time { return want.now.Add(-leeway) },
	})
	idToken, refusal := verifier.Verify(ctx, raw)

	switch {
	case errors.Is(witness.err, ErrUnavailable):
		return claims{}, fmt.Errorf("%s: %w", attempt, witness.err)
	case witness.payload == nil:
		return claims{}, failure(attempt, ReasonIDTokenSignature, nil)
	}
	c, ok := parseClaims(witness.payload)
	if !ok {
		return claims{}, failure(attempt, ReasonIDTokenMalformed, nil)
	}
	if reason := judge(c, want); reason != "" {
		return claims{}, failure(attempt, reason, nil)
	}
	if refusal != nil {
		return claims{}, failure(attempt, ReasonIDTokenMalformed, nil)
	}
	// at_hash is optional here (section 3.1.3.8). A wrong one is not (IDT-17).
	if _, there := c.all["at_hash"]; there && idToken.VerifyAccessToken(accessToken) != nil {
		return claims{}, failure(attempt, ReasonIDTokenAccessHash, nil)
	}
	return c, nil
}

// witness keeps what a key set said, since go-oidc keeps only its text.
type witness struct {
	keys    oidc.KeySet
	payload []byte
	err     error
}

func (w *witness) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	w.payload, w.err = w.keys.VerifySignature(ctx, jwt)
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
