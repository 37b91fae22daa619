//go:build conformance

package conformance

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// The modules of the OpenID Foundation's conformance suite for the logout of a
// relying party. "…" stands for oidcc-client-test-rp. In all of them but the last
// the user logs in and then out by the relying party's own logout.

// tokenForm is what a provider posts to the back channel.
func tokenForm(token string) url.Values { return url.Values{"logout_token": {token}} }

// LT-01, …-init-logout: the relying party comes to the end_session_endpoint with
// an id_token_hint that was issued to it and a post_logout_redirect_uri that is
// registered.
func TestLT_01_RPInitLogout(t *testing.T) {
	t.Parallel()
	covers(t, "LT-01", "LT-12")
	w := newWorld(t, hintInForm())
	answer, _ := w.RPInitiated(func(claims map[string]any) url.Values { return tokenForm(w.AS.Sign(claims, nil)) })
	w.WantLoggedOut(answer.response, answer.body)
	requests := w.AS.Requests(as.EndSession) // AS* complains of a hint or a URI that is not right
	if len(requests) != 1 || requests[0].Param("id_token_hint") == "" || requests[0].Param("post_logout_redirect_uri") != shopURL+"/" {
		t.Fatalf("%d requests to the end_session_endpoint", len(requests))
	}
	if w.Session().Authenticated {
		t.Error("still logged in")
	}
}

// LT-02 and LT-03, …-init-logout-other-state and …-init-logout-no-state: the
// browser comes back with another state than was sent, or with none.
func TestLT_02_03_RPInitLogoutState(t *testing.T) {
	t.Parallel()
	for id, back := range map[string]string{
		"LT-02": shopURL + "/?state=another", // …-init-logout-other-state
		"LT-03": shopURL + "/",               // …-init-logout-no-state
	} {
		t.Run(id, func(t *testing.T) {
			covers(t, id)
			w := newWorld(t, hintInForm())
			w.AtEndSession(func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header().Set("Location", back)
				rw.WriteHeader(http.StatusSeeOther)
				return true
			})
			w.Login()
			end := w.UA.Go(ua.Navigation{URL: w.Shop(w.Logout()), From: w.Shop("/")})
			if end.URL.String() != back || end.Status != http.StatusOK || !strings.Contains(end.Body, "the application") {
				t.Errorf("%s at %s", end, end.URL)
			}
			if w.AS.Last(as.EndSession).Form.Has("state") {
				t.Error("a state was sent that nobody compares")
			}
			if w.Cookie() != "" || w.Session().Authenticated {
				t.Error("still logged in")
			}
		})
	}
}

// LT-04, …-backchannel-rpinitlogout: a valid logout token is answered by 200, an
// unknown claim and an unknown parameter are ignored.
func TestLT_04_BackChannelRPInitLogout(t *testing.T) {
	t.Parallel()
	covers(t, "LT-04", "LT-12")
	w := newWorld(t, hintInForm())
	answer, _ := w.RPInitiated(func(claims map[string]any) url.Values {
		claims["unknown_claim"] = map[string]any{"a": []any{1, nil}}
		values := tokenForm(w.AS.Sign(claims, map[string]any{"typ": "logout+jwt"}))
		values.Set("unknown_parameter", "x")
		return values
	})
	w.WantLoggedOut(answer.response, answer.body)
}

// LT-05 to LT-11, …-backchannel-rpinitlogout-…: what is wrong with the logout
// token is answered by 400, though its session has ended already.
func TestLT_05_11_BackChannelRPInitLogoutOfAWrongToken(t *testing.T) {
	t.Parallel()
	for id, module := range map[string]struct {
		name  string
		spoil func(*world, map[string]any) string
	}{
		"LT-05": {"alg-none", func(w *world, claims map[string]any) string {
			return as.SignWith(nil, "none", w.AS.KeyID(), claims, nil)
		}},
		"LT-06": {"wrong-alg", func(w *world, claims map[string]any) string {
			w.AS.UseAlgorithm("ES256") // its key is published, RS256 is registered
			return w.AS.Sign(claims, nil)
		}},
		"LT-07": {"wrong-iss", func(w *world, claims map[string]any) string {
			claims["iss"] = w.AS.Issuer + "/other"
			return w.AS.Sign(claims, nil)
		}},
		"LT-08": {"wrong-aud", func(w *world, claims map[string]any) string {
			claims["aud"] = clientID + "-other"
			return w.AS.Sign(claims, nil)
		}},
		"LT-09": {"no-event", func(w *world, claims map[string]any) string {
			delete(claims, "events")
			return w.AS.Sign(claims, nil)
		}},
		"LT-10": {"wrong-event", func(w *world, claims map[string]any) string {
			claims["events"] = map[string]any{"http://schemas.openid.net/event/other": map[string]any{}}
			return w.AS.Sign(claims, nil)
		}},
		"LT-11": {"with-nonce", func(w *world, claims map[string]any) string {
			claims["nonce"] = "a-nonce-that-must-not-be-here"
			return w.AS.Sign(claims, nil)
		}},
	} {
		t.Run(id+" "+module.name, func(t *testing.T) {
			t.Parallel()
			covers(t, id, "LT-12")
			w := newWorld(t, hintInForm())
			answer, _ := w.RPInitiated(func(claims map[string]any) url.Values { return tokenForm(module.spoil(w, claims)) })
			w.WantNotLoggedOut(answer.response, answer.body, http.StatusBadRequest)
		})
	}
}

// LT-14, …-frontchannel-opinitlogout: a page of the provider that the user opened
// there frames the logout URI.
func TestLT_14_FrontChannelOPInitLogout(t *testing.T) {
	t.Parallel()
	covers(t, "LT-14")
	w := newWorld(t, frontChannel())
	l := w.LoginAs("alice")
	w.WantFrameDone(l.Frame(w.AS.FrontChannelURL(l.sid), w.AS.URL(as.EndSession)))
	w.WantEnded(l)
	if r := l.Go(ua.Navigation{URL: w.Shop("/")}); r.Status != http.StatusOK || !strings.Contains(r.Body, "the application") {
		t.Errorf("the next visit: %s", r)
	}
	if n := len(w.AS.Requests(as.EndSession)); n != 0 {
		t.Errorf("the provider, which has begun it, was sent %d logouts", n)
	}
}
