package idp

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

func testConfig() Config {
	return Config{
		Issuer:  "http://id.localhost:8090",
		Clients: []Client{{ID: "shop", Secret: "s", RedirectURIs: []string{"http://localhost:8080/bff/callback"}}},
		Users:   DemoUsers(),
	}
}

// newTestStorage returns a storage on a clock of its own and a counter of replays.
func newTestStorage(t *testing.T, change ...func(*Config)) (*storage, *clock, *int) {
	t.Helper()
	config := testConfig()
	for _, f := range change {
		f(&config)
	}
	config, err := config.complete()
	if err != nil {
		t.Fatal(err)
	}
	c, replays := newClock(), 0
	s := newStorage(config, signingKey{}, c.now)
	s.replay = func(context.Context, string, string) { replays++ }
	return s, c, &replays
}

// granted runs a request through login and code and returns the code's request, as the token endpoint gets it.
func granted(t *testing.T, s *storage) authorizationForAPI {
	t.Helper()
	code := issueCode(t, s)
	a, err := s.AuthRequestByCode(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	return authorizationForAPI{a.(authorization), []string{"api"}}
}

func issueCode(t *testing.T, s *storage) string {
	t.Helper()
	pending, err := s.CreateAuthRequest(t.Context(), &oidc.AuthRequest{ClientID: "shop", Scopes: []string{"openid", "offline_access"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	who, _ := s.startSession("alice", s.pending.now())
	if err := s.completeLogin(pending.GetID(), who); err != nil {
		t.Fatal(err)
	}
	code := newSecret()
	if err := s.SaveAuthCode(t.Context(), pending.GetID(), code); err != nil {
		t.Fatal(err)
	}
	return code
}

func rotate(s *storage, refresh string) (string, error) {
	request, err := s.TokenRequestByRefreshToken(context.Background(), refresh)
	if err != nil {
		return "", err
	}
	_, next, _, err := s.CreateAccessAndRefreshTokens(context.Background(),
		refreshForAPI{request.(*refreshRequest), []string{"api"}}, refresh)
	return next, err
}

func TestCodeIsSpentByItsFirstUse(t *testing.T) {
	s, _, replays := newTestStorage(t)
	code := issueCode(t, s)
	a, err := s.AuthRequestByCode(t.Context(), code)
	if err != nil || a.GetSubject() != "alice" {
		t.Fatalf("first use: %v, %v", a, err)
	}
	for range 2 {
		if _, err := s.AuthRequestByCode(t.Context(), code); !errors.Is(err, errUnknownCode) {
			t.Errorf("later use: %v, want errUnknownCode", err)
		}
	}
	if *replays != 2 {
		t.Errorf("%d replays reported, want 2", *replays)
	}
	if _, err := s.AuthRequestByCode(t.Context(), "guess"); !errors.Is(err, errUnknownCode) || *replays != 2 {
		t.Errorf("a guess: %v and %d replays, want errUnknownCode and no replay", err, *replays)
	}
}

func TestCodeExpires(t *testing.T) {
	s, c, _ := newTestStorage(t)
	code := issueCode(t, s)
	c.pass(codeLifetime)
	if _, err := s.AuthRequestByCode(t.Context(), code); !errors.Is(err, errUnknownCode) {
		t.Errorf("got %v, want errUnknownCode", err)
	}
}

func TestRequestGetsOneCodeAndOnlyAfterALogin(t *testing.T) {
	s, c, _ := newTestStorage(t)
	pending, _ := s.CreateAuthRequest(t.Context(), &oidc.AuthRequest{ClientID: "shop"}, "")
	if err := s.SaveAuthCode(t.Context(), pending.GetID(), "x"); !errors.Is(err, errUnknownRequest) {
		t.Errorf("before the login: %v, want errUnknownRequest", err)
	}
	who, _ := s.startSession("alice", c.now())
	if err := s.completeLogin(pending.GetID(), who); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveAuthCode(t.Context(), pending.GetID(), "x"); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveAuthCode(t.Context(), pending.GetID(), "y"); !errors.Is(err, errUnknownRequest) {
		t.Errorf("second code: %v, want errUnknownRequest", err)
	}
}

func TestPendingLoginExpires(t *testing.T) {
	s, c, _ := newTestStorage(t)
	pending, _ := s.CreateAuthRequest(t.Context(), &oidc.AuthRequest{ClientID: "shop"}, "")
	c.pass(pendingLoginLifetime)
	if _, err := s.AuthRequestByID(t.Context(), pending.GetID()); !errors.Is(err, errUnknownRequest) {
		t.Errorf("got %v, want errUnknownRequest", err)
	}
}

func TestRefreshTokenFamily(t *testing.T) {
	start := func(t *testing.T) (*storage, *clock, *int, string) {
		s, c, replays := newTestStorage(t)
		_, refresh, _, err := s.CreateAccessAndRefreshTokens(t.Context(), granted(t, s), "")
		if err != nil {
			t.Fatal(err)
		}
		return s, c, replays, refresh
	}
	t.Run("rotates as long as each token is used once", func(t *testing.T) {
		s, _, replays, refresh := start(t)
		seen := map[string]bool{refresh: true}
		for range 50 {
			next, err := rotate(s, refresh)
			if err != nil || seen[next] {
				t.Fatalf("rotation: %v, repeated %v", err, seen[next])
			}
			seen[next], refresh = true, next
		}
		if *replays != 0 || len(s.grants.entries) != 1 {
			t.Errorf("%d replays, %d grants; want 0 and 1", *replays, len(s.grants.entries))
		}
	})
	t.Run("dies when any spent token comes back", func(t *testing.T) {
		s, _, replays, first := start(t)
		second, _ := rotate(s, first)
		third, _ := rotate(s, second)
		if _, err := rotate(s, first); !errors.Is(err, errUnknownToken) {
			t.Errorf("spent token: %v", err)
		}
		if _, err := rotate(s, third); !errors.Is(err, errUnknownToken) {
			t.Errorf("current token after reuse: %v", err)
		}
		if *replays != 1 {
			t.Errorf("%d replays, want 1: the family was gone by the second call", *replays)
		}
	})
	t.Run("dies when the token is spent between look-up and rotation", func(t *testing.T) {
		s, _, replays, refresh := start(t)
		late, err := s.TokenRequestByRefreshToken(t.Context(), refresh)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rotate(s, refresh); err != nil {
			t.Fatal(err)
		}
		_, _, _, err = s.CreateAccessAndRefreshTokens(t.Context(), refreshForAPI{late.(*refreshRequest), nil}, refresh)
		var e *oidc.Error
		if !errors.As(err, &e) || e.ErrorType != oidc.InvalidGrant || *replays != 1 {
			t.Errorf("late rotation: %v with %d replays, want invalid_grant and 1", err, *replays)
		}
	})
	t.Run("lives as long as the grant, however often it rotates", func(t *testing.T) {
		s, c, _, refresh := start(t)
		for range 23 {
			c.pass(time.Hour)
			var err error
			if refresh, err = rotate(s, refresh); err != nil {
				t.Fatal(err)
			}
		}
		c.pass(time.Hour)
		if _, err := rotate(s, refresh); !errors.Is(err, errUnknownToken) {
			t.Errorf("after a day: %v, want errUnknownToken", err)
		}
	})
	t.Run("is not harmed by nonsense", func(t *testing.T) {
		s, _, replays, refresh := start(t)
		id, _, _ := strings.Cut(refresh, ".")
		for _, nonsense := range []string{"", ".", "x", "x.y", "." + refresh, id, id + "."} {
			if _, err := rotate(s, nonsense); !errors.Is(err, errUnknownToken) {
				t.Errorf("%q: %v, want errUnknownToken", nonsense, err)
			}
		}
		if _, err := rotate(s, refresh); err != nil || *replays != 0 {
			t.Errorf("after nonsense: %v with %d replays", err, *replays)
		}
	})
	t.Run("narrows scopes for one access token only", func(t *testing.T) {
		s, _, _, refresh := start(t)
		request, _ := s.TokenRequestByRefreshToken(t.Context(), refresh)
		request.SetCurrentScopes([]string{"openid"})
		_, refresh, _, err := s.CreateAccessAndRefreshTokens(t.Context(), refreshForAPI{request.(*refreshRequest), nil}, refresh)
		if err != nil {
			t.Fatal(err)
		}
		request, err = s.TokenRequestByRefreshToken(t.Context(), refresh)
		if err != nil || len(request.GetScopes()) != 2 {
			t.Errorf("the grant has scopes %v now, %v", request.GetScopes(), err)
		}
	})
}

func TestGrantWithoutRefreshTokenCannotBeRefreshed(t *testing.T) {
	s, _, _ := newTestStorage(t)
	if _, _, err := s.CreateAccessToken(t.Context(), granted(t, s)); err != nil {
		t.Fatal(err)
	}
	for id := range s.grants.entries {
		if _, err := rotate(s, id+".anything"); !errors.Is(err, errUnknownToken) {
			t.Errorf("got %v, want errUnknownToken", err)
		}
		if _, ok := s.grants.get(id); !ok {
			t.Error("the grant is gone")
		}
	}
}

func TestAccessTokenAtUserInfo(t *testing.T) {
	s, c, _ := newTestStorage(t)
	jti, expires, err := s.CreateAccessToken(t.Context(), granted(t, s))
	if err != nil || expires != c.now().Add(defaultAccessTokenLifetime) {
		t.Fatalf("expires %v, %v", expires, err)
	}
	info := new(oidc.UserInfo)
	if err := s.SetUserinfoFromToken(t.Context(), info, jti, "alice", ""); err != nil || info.Subject != "alice" {
		t.Errorf("%+v, %v", info, err)
	}
	if err := s.SetUserinfoFromToken(t.Context(), info, jti, "bob", ""); err == nil {
		t.Error("the token of alice speaks for bob")
	}
	c.pass(defaultAccessTokenLifetime)
	if err := s.SetUserinfoFromToken(t.Context(), info, jti, "alice", ""); err == nil {
		t.Error("an expired token works")
	}
}

func TestStorageIsBounded(t *testing.T) {
	s, c, _ := newTestStorage(t, func(config *Config) { config.MaxEntries = 5 })
	for range 100 {
		_, _ = s.CreateAuthRequest(t.Context(), &oidc.AuthRequest{ClientID: "shop"}, "")
		_, _, _, err := s.CreateAccessAndRefreshTokens(t.Context(), granted(t, s), "")
		if err != nil {
			t.Fatal(err)
		}
		s.startSession("bob", c.now())
	}
	_, _ = s.CreateAuthRequest(t.Context(), &oidc.AuthRequest{ClientID: "shop"}, "") // the others have moved on to codes
	for name, n := range map[string]int{"pending": len(s.pending.entries), "codes": len(s.codes.entries), "grants": len(s.grants.entries),
		"access tokens": len(s.access.entries), "sessions": len(s.sessions.entries)} {
		if n != 5 {
			t.Errorf("%d %s are kept, want 5", n, name)
		}
	}
}

func TestSessionCookie(t *testing.T) {
	s, c, _ := newTestStorage(t)
	who, cookie := s.startSession("alice", c.now())
	if got, ok := s.sessionByCookie(cookie); !ok || got.sid != who.sid {
		t.Fatalf("got %v %v", got, ok)
	}
	for _, forged := range []string{"", who.sid, who.sid + ".", who.sid + "." + newSecret(), strings.ToUpper(cookie)} {
		if _, ok := s.sessionByCookie(forged); ok {
			t.Errorf("cookie %q is accepted: the sid alone, which clients know, must not be enough", forged)
		}
	}
	c.pass(defaultSessionLifetime)
	if _, ok := s.sessionByCookie(cookie); ok {
		t.Error("an expired session is accepted")
	}
}

func TestEndingASessionRevokesWhatItGranted(t *testing.T) {
	s, _, _ := newTestStorage(t)
	mine, other := granted(t, s), granted(t, s)
	_, refresh, _, _ := s.CreateAccessAndRefreshTokens(t.Context(), mine, "")
	_, otherRefresh, _, _ := s.CreateAccessAndRefreshTokens(t.Context(), other, "")
	s.endSession(mine.session.sid)
	if _, err := rotate(s, refresh); err == nil {
		t.Error("the grant survives its session")
	}
	if _, err := rotate(s, otherRefresh); err != nil {
		t.Errorf("another session of the same user: %v", err)
	}
}

func TestTerminateSession(t *testing.T) {
	s, _, _ := newTestStorage(t)
	_, refresh, _, _ := s.CreateAccessAndRefreshTokens(t.Context(), granted(t, s), "")
	if err := s.TerminateSession(t.Context(), "alice", "other"); err != nil {
		t.Fatal(err)
	}
	refresh, err := rotate(s, refresh)
	if err != nil {
		t.Fatalf("another client's logout: %v", err)
	}
	if err := s.TerminateSession(t.Context(), "alice", "shop"); err != nil {
		t.Fatal(err)
	}
	if _, err := rotate(s, refresh); err == nil {
		t.Error("the grant survives")
	}
}

func TestRevokeTokenOfAnotherClient(t *testing.T) {
	s, _, _ := newTestStorage(t)
	jti, refresh, _, _ := s.CreateAccessAndRefreshTokens(t.Context(), granted(t, s), "")
	for name, token := range map[string]string{"refresh token": refresh, "access token": jti} {
		if err := s.RevokeToken(t.Context(), token, "", "other"); err == nil {
			t.Errorf("another client may revoke the %s", name)
		}
	}
	if _, err := rotate(s, refresh); err != nil {
		t.Error(err)
	}
}

func TestClientSecret(t *testing.T) {
	s, _, _ := newTestStorage(t)
	for _, test := range []struct {
		id, secret string
		want       error
	}{{"shop", "s", nil}, {"shop", "", errWrongSecret}, {"shop", "S", errWrongSecret}, {"", "", errUnknownClient}, {"other", "s", errUnknownClient}} {
		if err := s.AuthorizeClientIDSecret(t.Context(), test.id, test.secret); !errors.Is(err, test.want) {
			t.Errorf("%q %q: %v, want %v", test.id, test.secret, err, test.want)
		}
	}
}

func TestWhatIsNotOfferedFails(t *testing.T) {
	s, _, _ := newTestStorage(t)
	foreign := authorization{} // not wrapped for an API: the library must not be able to issue with the client's audience
	if _, _, err := s.CreateAccessToken(t.Context(), foreign); !errors.Is(err, errNotOffered) {
		t.Errorf("CreateAccessToken: %v", err)
	}
	if _, _, _, err := s.CreateAccessAndRefreshTokens(t.Context(), foreign, ""); !errors.Is(err, errNotOffered) {
		t.Errorf("CreateAccessAndRefreshTokens: %v", err)
	}
	if _, err := s.GetKeyByIDAndClientID(t.Context(), "", ""); !errors.Is(err, errNotOffered) {
		t.Errorf("GetKeyByIDAndClientID: %v", err)
	}
}

func TestUserClaimsCannotReplaceStandardOnes(t *testing.T) {
	s, _, _ := newTestStorage(t, func(c *Config) {
		c.Users = []User{{Username: "eve", Password: "p", Claims: map[string]any{"sub": "alice", "preferred_username": "alice", "roles": "x"}}}
	})
	info := new(oidc.UserInfo)
	s.setClaims(info, "eve", []string{"openid", "profile"})
	raw, err := info.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if got := string(raw); !strings.Contains(got, `"sub":"eve"`) || !strings.Contains(got, `"preferred_username":"eve"`) {
		t.Errorf("claims are %s", got)
	}
}
