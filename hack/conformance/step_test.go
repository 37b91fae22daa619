//go:build conformance

package conformance

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// steppingUp lets pages ask for a step-up.
func steppingUp() option {
	return policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Login.AllowedParameters = []v1alpha1.LoginParameter{"acr_values", "max_age"}
	})
}

// challenge has RS* answer with a WWW-Authenticate.
func challenge(values ...string) func(*rs.Request) rs.Reply {
	return func(*rs.Request) rs.Reply {
		var fields []rs.Field
		for _, value := range values {
			fields = append(fields, rs.Fields("WWW-Authenticate", value)...)
		}
		return rs.Reply{Status: http.StatusUnauthorized, Fields: fields}
	}
}

// asked are the parameters of the authorization request that the provider was
// last sent, pushed or not.
func (w *world) asked() url.Values {
	w.Helper()
	if r := w.AS.Last(as.PAR); r != nil {
		return r.Form
	}
	return w.AS.Last(as.Authorize).Query
}

func TestSTEP_01_03_AChallengeBecomesALogin(t *testing.T) {
	t.Parallel()
	covers(t, "STEP-01", "STEP-03", "STEP-04")
	for name, test := range map[string]struct {
		challenge   []string
		acr, maxAge string
	}{
		"quoted":              {[]string{`Bearer error="insufficient_user_authentication", error_description="A different level is required", acr_values="2 3"`}, "2 3", ""},
		"tokens":              {[]string{`Bearer error=insufficient_user_authentication, acr_values=2, max_age=5`}, "2", "5"},
		"max_age quoted":      {[]string{`Bearer error="insufficient_user_authentication", max_age="0"`}, "", "0"},
		"DPoP":                {[]string{`DPoP error="insufficient_user_authentication", acr_values="2", algs="ES256"`}, "2", ""},
		"scheme in capitals":  {[]string{`BEARER ERROR="insufficient_user_authentication", ACR_VALUES="2"`}, "2", ""},
		"several in one":      {[]string{`Basic realm="a, b", Bearer realm="x", error="insufficient_user_authentication", acr_values="2", Negotiate`}, "2", ""},
		"several headers":     {[]string{`Basic realm="x"`, `Bearer error="insufficient_user_authentication", acr_values="2"`}, "2", ""},
		"escapes in the text": {[]string{`Bearer error_description="say \"hi\", acr_values=\"9\"", error="insufficient_user_authentication", acr_values="2"`}, "2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, steppingUp())
			w.Login()
			w.RS.Answer(challenge(test.challenge...))
			p := w.WantProblem(w.Call("GET", "/api/x"), http.StatusUnauthorized, "step_up_required")
			if !strings.HasPrefix(p.LoginURL, "/bff/login?") {
				t.Fatalf("loginURL is %q", p.LoginURL)
			}
			w.RS.Answer(w.protected)
			r := w.UA.Go(ua.Navigation{URL: w.Shop(p.LoginURL), From: w.Shop("/")})
			w.WantLogin(r)
			request := w.asked()
			if request.Get("acr_values") != test.acr || request.Get("max_age") != test.maxAge {
				t.Errorf("the provider was asked for acr_values=%q, max_age=%q", request.Get("acr_values"), request.Get("max_age"))
			}
			if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
				t.Error(r)
			}
		})
	}
}

func TestSTEP_02_AMalformedChallengeIsTheAPIsAnswer(t *testing.T) {
	t.Parallel()
	covers(t, "STEP-02")
	w := newWorld(t, steppingUp())
	w.Login()
	for _, value := range []string{
		`max_age=-1`, `max_age="-1"`, `max_age=5.0`, `max_age=1e3`, `max_age=""`, `max_age=99999999999999999999`, `max_age=0x10`, `max_age=" 5"`, `max_age=+5`,
		`acr_values=""`, `acr_values="ä"`, `max_age=5, max_age=6`, `acr_values="` + strings.Repeat("x", 5000) + `"`, ``,
	} {
		w.RS.Answer(challenge(`Bearer error="insufficient_user_authentication", ` + value))
		r := w.Call("GET", "/api/x")
		if r.Status != http.StatusUnauthorized || strings.Contains(r.Body, "step_up_required") {
			t.Errorf("%s: %s", value, r)
		}
	}
	if !w.Session().Authenticated {
		t.Error("the session has ended")
	}
}

func TestSTEP_05_TheAnswerMustBeWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	covers(t, "STEP-05", "IDT-12", "IDT-13")
	for name, test := range map[string]struct {
		query string
		spoil func(*as.Behaviour)
	}{
		"the old level": {"acr_values=2", func(b *as.Behaviour) { b.ACR = "1" }},
		"no level":      {"acr_values=2", func(b *as.Behaviour) { b.IDToken = without("acr") }},
		"too long ago":  {"max_age=60", func(b *as.Behaviour) { b.AuthTime = time.Now().Add(-time.Hour) }},
		"no time":       {"max_age=60", func(b *as.Behaviour) { b.IDToken = without("auth_time") }},
		"cannot be done": {"acr_values=2", func(b *as.Behaviour) {
			b.AuthorizeResponse = func(response, _ url.Values) {
				response.Del("code")
				response.Set("error", "unmet_authentication_requirements")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, steppingUp())
			w.Login()
			cookie := w.Cookie()
			logins := len(w.AS.Requests(as.Authorize))
			w.AS.Change(test.spoil)
			r := w.LoginAt(w.UA, test.query)
			if r.Status < 400 || r.URL.Host != hostOf(shopURL) {
				t.Errorf("%s", r)
			}
			if n := len(w.AS.Requests(as.Authorize)) - logins; n != 1 {
				t.Errorf("%d authorization requests, want one", n)
			}
			if w.Cookie() != cookie || w.Call("GET", "/api/x").Status != http.StatusOK {
				t.Error("the session of before has suffered")
			}
		})
	}
}

func without(claim string) func(string, map[string]any, map[string]any) string {
	return func(_ string, claims, _ map[string]any) string { delete(claims, claim); return "" }
}

func TestSTEP_06_ASteppedUpSessionTakesTheOldOnesPlace(t *testing.T) {
	t.Parallel()
	covers(t, "STEP-06", "GAP-03")
	w := newWorld(t, steppingUp())
	w.Login()
	old := w.CallOf("GET", "/api/x")
	old.Header.Set("Cookie", cookieName+"="+w.Cookie())
	w.WantLogin(w.LoginAt(w.UA, "acr_values=2"))
	w.WantProblem(w.NewAgent().Fetch(old), http.StatusUnauthorized)
	w.RS.Forget()
	w.Call("GET", "/api/x")
	newest := w.AS.Tokens()[len(w.AS.Tokens())-1]
	if got := w.RS.Last(); got == nil || got.Token() != newest.Value {
		t.Error("the API was not sent the new token")
	}
}

func TestSTEP_07_AnAPICannotNagForEver(t *testing.T) {
	t.Parallel()
	covers(t, "STEP-07", "STEP-05")
	// The level is there, and the API asks for it all the same.
	w := newWorld(t, steppingUp(), api(challenge(`Bearer error="insufficient_user_authentication", acr_values="2"`)))
	w.WantLogin(w.LoginAt(w.UA, "acr_values=2"))
	r := w.Call("GET", "/api/x")
	if r.Status != http.StatusUnauthorized || strings.Contains(r.Body, "step_up_required") {
		t.Errorf("the user is sent to log in once more: %s", r)
	}
	// Neither can one that the policy does not let ask.
	closed := newWorld(t, api(challenge(`Bearer error="insufficient_user_authentication", acr_values="2"`)))
	closed.Login()
	if r := closed.Call("GET", "/api/x"); r.Status != http.StatusUnauthorized || strings.Contains(r.Body, "step_up_required") {
		t.Errorf("%s", r)
	}
}

func TestSTEP_07_AnAPIThatAlwaysWantsSomethingElseIsStopped(t *testing.T) {
	t.Parallel()
	covers(t, "STEP-07", "STEP-05")
	turn := 0
	w := newWorld(t, steppingUp(), api(func(*rs.Request) rs.Reply { // calls come one after the other
		turn++
		return challenge(fmt.Sprintf(`Bearer error="insufficient_user_authentication", acr_values="%d"`, 1+turn%3))(nil)
	}))
	w.Login()
	const most = 8
	for logins := 1; ; logins++ {
		p := w.WantProblem(w.Call("GET", "/api/x"), http.StatusUnauthorized, "step_up_required")
		r := w.UA.Go(ua.Navigation{URL: w.Shop(p.LoginURL), From: w.Shop("/")})
		if r.Status == http.StatusTooManyRequests {
			break
		}
		if r.Status != http.StatusOK || logins > most {
			t.Fatalf("after %d logins in a row: %s", logins, r)
		}
	}
	if !w.Session().Authenticated {
		t.Error("the session has ended")
	}
}

func TestSTEP_08_AnotherUserIsNeverMerged(t *testing.T) {
	t.Parallel()
	covers(t, "STEP-08")
	w := newWorld(t, steppingUp())
	w.Login()
	old := w.CallOf("GET", "/bff/session")
	old.Header.Set("Cookie", cookieName+"="+w.Cookie())
	aliceToken := w.AS.Tokens()[0].Value
	w.AS.Change(func(b *as.Behaviour) { b.User = as.User{Subject: "bob", Claims: map[string]any{"name": "Bob"}} })
	w.LoginAt(w.UA, "acr_values=2")
	s := w.Session()
	oldAnswer := w.NewAgent().Fetch(old).Body
	switch s.Claims["sub"] {
	case "alice":
		if !strings.Contains(oldAnswer, `"alice"`) {
			t.Error("refused, and the old session has ended all the same")
		}
	case "bob":
		if s.Claims["name"] != "Bob" || s.Claims["email"] != nil || strings.Contains(oldAnswer, `"authenticated":true`) {
			t.Errorf("merged: %v, and the old session is %s", s.Claims, oldAnswer)
		}
		w.Call("GET", "/api/x")
		if got := w.RS.Last(); got == nil || got.Token() == aliceToken {
			t.Error("bob calls with alice's token")
		}
	case nil: // refused, and the old session ended to be on the safe side
		if strings.Contains(oldAnswer, `"authenticated":true`) {
			t.Error("the browser has lost a session that lives on")
		}
	default:
		t.Errorf("logged in as %v", s.Claims["sub"])
	}
}
