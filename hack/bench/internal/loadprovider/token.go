package loadprovider

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// token is the token endpoint (RFC 6749 sections 4.1.3 and 6).
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	form, ok := p.clientForm(w, r)
	if !ok {
		return
	}
	switch form.Get("grant_type") {
	case "authorization_code":
		p.redeem(w, form)
	case "refresh_token":
		g, ok := p.grantOf(form.Get("refresh_token"))
		if !ok {
			p.refused(w, "invalid_grant")
			return
		}
		p.refreshed.Add(1)
		p.grantTokens(w, g)
	default:
		p.refused(w, "unsupported_grant_type")
	}
}

// clientForm is a form that the client has sent.
func (p *Provider) clientForm(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	id, secret, _ := r.BasicAuth()
	if id != p.options.ClientID || subtle.ConstantTimeCompare([]byte(secret), []byte(p.options.ClientSecret)) != 1 {
		p.refuse.Add(1)
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return nil, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		p.refused(w, "invalid_request")
		return nil, false
	}
	return r.PostForm, true
}

// redeem trades a code, once.
func (p *Provider) redeem(w http.ResponseWriter, form url.Values) {
	p.mu.Lock()
	g, known := p.codes[form.Get("code")]
	delete(p.codes, form.Get("code"))
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	if !known || form.Get("redirect_uri") != p.options.RedirectURI || base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		p.refused(w, "invalid_grant")
		return
	}
	p.redeemed.Add(1)
	p.grantTokens(w, g)
}

func (p *Provider) grantTokens(w http.ResponseWriter, g grant) {
	// The rest of an access token says nothing: nobody but an API reads it.
	access := rand.Text()
	access += "." + p.filler[len(access)+1:]
	claims := map[string]any{
		"iss": p.Issuer, "sub": subject(g.user), "aud": p.options.ClientID, "sid": sid(g.user),
		"iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(), "auth_time": g.authenticated.Unix(),
		"name": "Alice Liddell", "email": subject(g.user) + "@example.com",
	}
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	id, err := p.sign(claims)
	if err != nil {
		http.Error(w, "no token could be signed", http.StatusInternalServerError)
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": int(p.options.AccessTokenLife.Seconds()),
		"refresh_token": p.refreshToken(g), "id_token": id,
	})
}

// revoke is the revocation endpoint (RFC 7009). It forgets nothing, since there
// is nothing to forget.
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) {
	form, ok := p.clientForm(w, r)
	if !ok {
		return
	}
	if _, ok := p.grantOf(form.Get("token")); ok {
		p.revoked.Add(1)
	}
	w.WriteHeader(http.StatusOK)
}

// LogoutToken tells a client that a session is over (OpenID Connect Back-Channel
// Logout section 2.4).
func (p *Provider) LogoutToken(sid string) (string, error) {
	now := time.Now()
	return p.sign(map[string]any{
		"iss": p.Issuer, "aud": p.options.ClientID, "sid": sid, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	})
}

func (p *Provider) sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign claims: %w", err)
	}
	signed, err := p.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign claims: %w", err)
	}
	return signed.CompactSerialize()
}

// refreshToken names a grant, so that nothing need be kept. It is another one
// each time, as a provider that rotates them makes it.
func (p *Provider) refreshToken(g grant) string {
	content := fmt.Sprintf("%d.%d.%s", g.user, g.authenticated.Unix(), rand.Text())
	return content + "." + p.mac(content)
}

// grantOf is what a refresh token was made for.
func (p *Provider) grantOf(refreshToken string) (grant, bool) {
	parts := strings.Split(refreshToken, ".")
	if len(parts) != 4 || !hmac.Equal([]byte(p.mac(strings.Join(parts[:3], "."))), []byte(parts[3])) {
		return grant{}, false
	}
	user, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return grant{}, false
	}
	authenticated, err := strconv.ParseInt(parts[1], 10, 64)
	return grant{user: user, authenticated: time.Unix(authenticated, 0)}, err == nil
}

func (p *Provider) mac(content string) string {
	mac := hmac.New(sha256.New, p.macKey)
	mac.Write([]byte(content))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func subject(user int64) string { return "user-" + strconv.FormatInt(user, 10) }

func sid(user int64) string { return "session-" + strconv.FormatInt(user, 10) }

// filler is text without a pattern that a compressor would find.
func filler(size int) string {
	var b bytes.Buffer
	for b.Len() < size {
		b.WriteString(rand.Text())
	}
	return b.String()[:size]
}
