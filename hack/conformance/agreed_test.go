//go:build conformance

package conformance

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/leak"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/oidcprovider"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
)

// registered is a client of oidc-provider with a login like every other, and
// with the changes given.
func registered(id string, changes map[string]any) oidcprovider.Client {
	c := oidcprovider.Client{
		"client_id": id, "client_secret": "MARKER-secret-of-enough-bits-for-HS256-" + randomHex(8),
		"redirect_uris": []string{callbackURL}, "post_logout_redirect_uris": []string{shopURL + "/"},
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
	}
	for name, value := range changes {
		c[name] = value
	}
	return c
}

// agreed has a world's policy name a client of oidc-provider in place of AS*,
// and its API accept the tokens of that provider.
func agreed(g *guard, c oidcprovider.Client) option {
	p := g.provider
	return func(s *setup) {
		client(func(r *as.Client) {
			r.ID, r.Secret = c.ID(), ""
			if secret, ok := c["client_secret"].(string); ok {
				r.Secret = secret
			}
			if method, ok := c["token_endpoint_auth_method"].(string); ok {
				r.Method = method
			}
		})(s)
		var once sync.Once
		policyOf(func(w *world, spec *v1alpha1.BFFPolicySpec) {
			spec.Provider.IssuerURL = p.Issuer
			if strings.HasPrefix(p.Issuer, "https:") {
				spec.Provider.CABundle = authority.PEM()
			}
			once.Do(func() {
				w.RS.Answer(g.answer)
				w.Cleanup(func() { learnTokens(w, p, c.ID()) })
			})
		})(s)
	}
}

// mostLearned bounds how many tokens a scan looks for: the latest ones.
const mostLearned = 40

// learnTokens has the leak scan look for the tokens the provider has issued.
func learnTokens(w *world, p *oidcprovider.Server, client string) {
	var answers []oidcprovider.Event
	for _, e := range p.Events() {
		if e.Name == "token" && e.Client == client && e.Status == http.StatusOK {
			answers = append(answers, e)
		}
	}
	for _, e := range answers[max(0, len(answers)-mostLearned):] {
		w.Leaks.Add("access token", e.Access, leak.Nowhere)
		w.Leaks.Add("refresh token", e.Refresh, leak.Nowhere)
		w.Leaks.Add("ID token", e.ID, leak.Nowhere)
	}
}

// guard is an API that accepts the access tokens of oidc-provider. It asks once
// about each and remembers, since a logout revokes them.
type guard struct {
	provider *oidcprovider.Server

	mu    sync.Mutex
	known map[string]oidcprovider.Token
}

// answer refuses what the provider does not know and what has expired. Times
// are whole seconds there, so that a token of two seconds may live for a little
// more than one: a second is allowed for that.
func (g *guard) answer(r *rs.Request) rs.Reply {
	token, err := g.look(r.Token())
	if err != nil {
		return rs.JSON(http.StatusBadGateway, map[string]any{"error": err.Error()})
	}
	if !token.Active || time.Now().Unix() > token.Expiry {
		reply := rs.JSON(http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
		reply.Fields = append(reply.Fields, rs.Field{Name: "WWW-Authenticate", Value: r.Scheme() + ` error="invalid_token"`})
		return reply
	}
	return rs.Echo(r)
}

func (g *guard) look(token string) (oidcprovider.Token, error) {
	g.mu.Lock()
	known, ok := g.known[token]
	g.mu.Unlock()
	if ok {
		return known, nil
	}
	known, err := g.provider.Introspect(token)
	if err != nil {
		return known, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known == nil {
		g.known = map[string]oidcprovider.Token{}
	}
	g.known[token] = known
	return known, nil
}
