package session

import (
	"maps"
	"slices"

	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

const bearerScheme = string(token.Bearer) + " "

// authorizations are the values of the header Authorization for a session's
// bearer tokens, made once and not for each call.
type authorizations struct {
	own      []string
	narrowed map[string][]string // by token.Target.Key
}

// Authorization is the value of the header of that name for a target, "Bearer"
// and the token (RFC 6750 section 2.1), ready made. It is shared: nobody may
// write to it. It is not ok if there is no such token, if the token is bound to
// a key (RFC 9449) and so needs a proof of its own with each request, and if
// sess is not from Sessions.
func (s *Session) Authorization(target token.Target) (value []string, ok bool) {
	access, ok := accessFor(s.Tokens, target)
	if !ok {
		return nil, false
	}
	value = s.authorizations.own
	if !target.IsZero() {
		var room [targetRoom]byte
		value = s.authorizations.narrowed[string(appendKey(room[:0], target))]
	}
	// Tokens can be written to by who has a copy of the session. The comparison
	// looks at no byte: both are the same memory.
	if len(value) != 1 || value[0][len(bearerScheme):] != access.Token {
		return nil, false
	}
	return value, true
}

// withTokens is the session with other tokens.
func (s *Session) withTokens(tokens token.Set) *Session {
	next := *s
	next.Tokens, next.authorizations = authorize(tokens)
	return &next
}

// authorize makes the header values of tokens, and returns the tokens as parts of
// those, so that each is in memory once.
func authorize(tokens token.Set) (token.Set, authorizations) {
	var ready authorizations
	tokens.Access, ready.own = authorizeOne(tokens.Access)
	if len(tokens.Narrowed) > 0 {
		tokens.Narrowed = maps.Clone(tokens.Narrowed)
		ready.narrowed = make(map[string][]string, len(tokens.Narrowed))
		for key, access := range tokens.Narrowed {
			tokens.Narrowed[key], ready.narrowed[key] = authorizeOne(access)
		}
	}
	return tokens, ready
}

func authorizeOne(access token.Access) (token.Access, []string) {
	if access.Token == "" || access.Type != token.Bearer && access.Type != "" {
		return access, nil
	}
	value := bearerScheme + access.Token
	access.Token = value[len(bearerScheme):]
	return access, []string{value}
}

// A target of usual size has its key made without allocating.
const (
	targetRoom = 256 // bytes
	scopesRoom = 16
)

// accessFor is tokens.For, without allocating.
func accessFor(tokens token.Set, target token.Target) (token.Access, bool) {
	if target.IsZero() {
		return tokens.For(target)
	}
	var room [targetRoom]byte
	access, ok := tokens.Narrowed[string(appendKey(room[:0], target))]
	return access, ok
}

// appendKey appends target.Key() to b.
func appendKey(b []byte, target token.Target) []byte {
	b = append(append(b, target.Resource...), '\n')
	var room [scopesRoom]string
	scopes := append(room[:0], target.Scopes...)
	slices.Sort(scopes)
	for i, scope := range scopes {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, scope...)
	}
	return b
}
