package dpop

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/bff-operator/bff-operator/sidecar/internal/challenge"
)

const (
	// wanted is the error code of a server that wants a nonce (RFC 9449 sections 8
	// and 9).
	wanted = "use_dpop_nonce"
	// maxErrorBytes bounds what is read of an answer.
	maxErrorBytes = 64 << 10
)

// WantsNonce says whether an answer asks for the same request with the nonce it
// brings: a 400 with the error use_dpop_nonce in its body from an authorization
// server (RFC 9449 section 8), or a 401 with a DPoP challenge of that error from
// a resource server (section 9). body may be nil for a resource server. An
// answer that brings no nonce of its own is none: asking again would not help.
func WantsNonce(status int, h http.Header, body []byte) bool {
	if _, ok := given(h); !ok {
		return false
	}
	switch status {
	case http.StatusBadRequest:
		return bodyWants(body)
	case http.StatusUnauthorized:
		return challengeWants(h.Values("WWW-Authenticate"))
	}
	return false
}

func bodyWants(body []byte) bool {
	if len(body) > maxErrorBytes {
		return false
	}
	var answer struct {
		Error string `json:"error"`
	}
	return json.Unmarshal(body, &answer) == nil && answer.Error == wanted
}

// challengeWants looks for the error in the DPoP challenges of WWW-Authenticate.
func challengeWants(values []string) bool {
	challenges, ok := challenge.Parse(values)
	return ok && slices.ContainsFunc(challenges, func(c challenge.Challenge) bool {
		code, _ := c.Get("error")
		return c.Is("DPoP") && code == wanted
	})
}
