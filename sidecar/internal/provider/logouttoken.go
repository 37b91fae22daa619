package provider

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// LogoutToken is what a provider says when it ends a session (OpenID Connect
// Back-Channel Logout section 2.4).
type LogoutToken struct {
	// Issuer is the provider's.
	Issuer string
	// Subject and SID say whose sessions, or which one. At most one of them is "".
	Subject, SID string
	// JTI names the token.
	JTI string
	// Expiry is when the token is no longer accepted. Until then a JTI is to be
	// remembered.
	Expiry time.Time
}

const (
	// logoutEvent is what a logout token is about (section 2.4).
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
	// logoutType is the type that newer providers give it.
	logoutType = "logout+jwt"
	// maxID bounds jti and sid.
	maxID = 512
)

// VerifyLogoutToken accepts a logout token by section 2.6. Anybody can send one,
// so that nothing in it is believed before its signature is verified. Its error
// matches ErrUnavailable if the provider's keys cannot be had, in which case
// nothing is known of the token.
func (c *Client) VerifyLogoutToken(ctx context.Context, raw string) (LogoutToken, error) {
	const attempt = "verify the logout token"
	s, err := c.snapshot.get(ctx)
	if err != nil {
		return LogoutToken{}, fmt.Errorf("%s: %w", attempt, err)
	}
	jwt, err := parseSigned(raw, s.metadata.Algorithms)
	if err != nil {
		return LogoutToken{}, failure(attempt, refusal(err, ReasonLogoutMalformed, ReasonLogoutEncrypted, ReasonLogoutAlgorithm), err)
	}
	if !isLogoutType(jwt.typ) {
		return LogoutToken{}, failure(attempt, ReasonLogoutType, nil)
	}
	payload, err := s.keys.verify(ctx, jwt, &s.keys.strangers)
	switch {
	case errors.Is(err, ErrUnavailable):
		return LogoutToken{}, fmt.Errorf("%s: %w", attempt, err)
	case err != nil:
		return LogoutToken{}, failure(attempt, ReasonLogoutSignature, nil)
	}
	all, ok := parseClaims(payload)
	if !ok {
		return LogoutToken{}, failure(attempt, ReasonLogoutMalformed, nil)
	}
	want := c.expectation()
	if reason := judgeLogout(all, want); reason != "" {
		return LogoutToken{}, failure(attempt, reason, nil)
	}
	verified := LogoutToken{Issuer: *all.issuer, JTI: *all.id, Expiry: at(all.expiry).Add(want.skew)}
	if all.subject != nil {
		verified.Subject = *all.subject
	}
	if all.sid != nil {
		verified.SID = *all.sid
	}
	return verified, nil
}

// isLogoutType accepts the type of logout tokens, and what providers that give
// them none send (BCL-18).
func isLogoutType(typ string) bool { return typ == "" || typ == "jwt" || typ == logoutType }

// judgeLogout applies section 2.6 to claims whose signature is good, and returns
// the reason to refuse them, or "" (BCL-05 to BCL-09).
func judgeLogout(c claims, want expectation) Reason {
	_, hasNonce := c.all["nonce"]
	switch {
	case c.issuer == nil || *c.issuer != want.issuer:
		return ReasonLogoutIssuer
	case !isFor(c.audience, want.clientID, want.trusted):
		return ReasonLogoutAudience
	case !isTime(c.issuedAt) || !isTime(c.expiry) || c.notBefore != nil && !isTime(c.notBefore):
		return ReasonLogoutMalformed
	case !want.now.Before(at(c.expiry).Add(want.skew)):
		return ReasonLogoutExpired
	case isAhead(c.issuedAt, want), c.notBefore != nil && isAhead(c.notBefore, want):
		return ReasonLogoutNotYet
	case c.subject == nil && c.sid == nil:
		return ReasonLogoutSubject
	case c.subject != nil && !isSubject(*c.subject), c.sid != nil && !isID(*c.sid):
		return ReasonLogoutSubject
	case !isLogoutEvent(c.all["events"]):
		return ReasonLogoutEvent
	case hasNonce:
		return ReasonLogoutNonce
	case c.id == nil || !isID(*c.id):
		return ReasonLogoutID
	}
	return ""
}

func isLogoutEvent(events any) bool {
	members, _ := events.(map[string]any)
	_, isObject := members[logoutEvent].(map[string]any)
	return isObject
}

func isID(s string) bool { return s != "" && len(s) <= maxID && isPrintable(s) }
