package dpop

import (
	"encoding/json"
	"iter"
	"net/http"
	"strings"
)

const (
	// wanted is the error code of a server that wants a nonce (RFC 9449 sections 8
	// and 9).
	wanted = "use_dpop_nonce"
	// maxChallengeBytes and maxErrorBytes bound what is read of an answer.
	maxChallengeBytes = 8 << 10
	maxErrorBytes     = 64 << 10
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

// challengeWants looks for the error in the DPoP challenges of WWW-Authenticate
// (RFC 9110 section 11.6.1).
func challengeWants(values []string) bool {
	size := 0
	for _, value := range values {
		if size += len(value); size > maxChallengeBytes {
			return false
		}
		scheme := ""
		for item := range items(value) {
			begun, parameter := split(item)
			if begun != "" {
				scheme = begun
			}
			name, value, _ := strings.Cut(parameter, "=")
			if strings.EqualFold(scheme, "DPoP") && strings.EqualFold(strings.TrimRight(name, " \t"), "error") &&
				unquoted(strings.TrimLeft(value, " \t")) == wanted {
				return true
			}
		}
	}
	return false
}

// split parts an item into the scheme of a challenge, if one begins there, and a
// parameter, if there is one.
func split(item string) (scheme, parameter string) {
	if isToken(item) {
		return item, ""
	}
	name, rest, ok := strings.Cut(item, " ")
	rest = strings.TrimLeft(rest, " \t")
	if !ok || !isToken(name) || strings.HasPrefix(rest, "=") {
		return "", item
	}
	return name, rest
}

// items are the parts of a list between its commas, of which those in quoted
// strings are none (RFC 9110 sections 5.6.1 and 5.6.4).
func items(value string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i <= len(value); i++ {
			switch {
			case i == len(value), value[i] == ',' && !quoted:
				if !yield(strings.Trim(value[start:i], " \t")) {
					return
				}
				start = i + 1
			case value[i] == '"':
				quoted = !quoted
			case value[i] == '\\' && quoted:
				i = min(i+1, len(value)-1)
			}
		}
	}
}

// unquoted is the content of a quoted string, or a token as it is.
func unquoted(value string) string {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return value
	}
	var b strings.Builder
	for i := 1; i < len(value)-1; i++ {
		if value[i] == '\\' && i < len(value)-2 {
			i++
		}
		b.WriteByte(value[i])
	}
	return b.String()
}

// isToken checks the syntax of a token (RFC 9110 section 5.6.2).
func isToken(value string) bool {
	for i := range len(value) {
		c := value[i]
		alphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alphanumeric && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return value != ""
}
