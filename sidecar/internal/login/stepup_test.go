package login_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/login"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// claiming is a provider that puts claims into its ID tokens, or leaves some
// out: those that are nil.
func claiming(claims map[string]any) providertest.Behaviour {
	return providertest.Behaviour{Claims: func(c map[string]any) {
		for name, value := range claims {
			if value == nil {
				delete(c, name)
				continue
			}
			c[name] = value
		}
	}}
}

var steppingUp = url.Values{"acr_values": {"gold"}, "returnTo": {"/pay"}}

// wantEnded checks that a session is gone because another one took its place.
func (w *world) wantReplaced(cookie string) {
	w.t.Helper()
	_, err := w.sessions.Find(w.t.Context(), cookie)
	if !errors.Is(err, session.ErrNone) || session.ReasonOf(err) != session.EndReplaced {
		w.t.Errorf("the old session: %v, ended as %q", err, session.ReasonOf(err))
	}
}

// GAP-03, STEP-06: a step-up makes another session in the place of the first.
func TestStepUp(t *testing.T) {
	w, server := scripted(t, allowing("acr_values"))
	b := w.browser()
	b.logIn("/")
	first := b.sessionCookie()
	server.Behave(claiming(map[string]any{"acr": "gold"}))
	if target := bounceOf(t, b.navigate(b.throughScripted(b.beginWith(steppingUp)), crossSite)); target != "/pay" {
		t.Errorf("the browser goes on to %q", target)
	}
	if b.sessionCookie() == first || b.sessionCookie() == "" {
		t.Error("the session has the cookie it had before")
	}
	w.wantReplaced(first)
	s := b.session()
	if s.ACR != "gold" || s.AuthTime == 0 || time.Since(time.Unix(s.AuthTime, 0)) > time.Minute {
		t.Errorf("session: %+v", s)
	}
}

// STEP-05, IDT-12, IDT-13: what was asked for and is not confirmed is refused.
// There is one failure, nothing goes on by itself, the session stays as it was,
// and trying again asks for the same.
func TestStepUpNotFulfilled(t *testing.T) {
	old := time.Now().Add(-time.Hour).Unix()
	for name, row := range map[string]struct {
		parameters url.Values
		b          providertest.Behaviour
		reason     flow.Reason
		again      string
	}{
		"IDT-12 too low":    {steppingUp, claiming(map[string]any{"acr": "bronze"}), flow.Reason(provider.ReasonACR), "/bff/login?acr_values=gold&returnTo=%2Fpay"},
		"IDT-12 not said":   {steppingUp, claiming(map[string]any{"acr": nil}), flow.Reason(provider.ReasonACR), "/bff/login?acr_values=gold&returnTo=%2Fpay"},
		"IDT-13 too old":    {url.Values{"max_age": {"60"}}, claiming(map[string]any{"auth_time": old}), flow.Reason(provider.ReasonAuthTime), "/bff/login?max_age=60"},
		"IDT-13 not said":   {url.Values{"max_age": {"0"}}, claiming(map[string]any{"auth_time": nil}), flow.Reason(provider.ReasonAuthTime), "/bff/login?max_age=0"},
		"STEP-05 not there": {steppingUp, refusing("unmet_authentication_requirements"), login.ReasonUnmetAuthentication, "/bff/login?acr_values=gold&returnTo=%2Fpay"},
	} {
		t.Run(name, func(t *testing.T) {
			w, server := scripted(t, allowing("acr_values", "max_age"))
			b := w.browser()
			b.logIn("/")
			before := b.sessionCookie()
			server.Behave(row.b)
			answer := b.navigate(b.throughScripted(b.beginWith(row.parameters)), crossSite)
			body := bodyOf(answer)
			if answer.StatusCode != http.StatusBadRequest || refresh.MatchString(body) || !strings.Contains(strings.ReplaceAll(body, "&amp;", "&"), `href="`+row.again+`"`) {
				t.Errorf("%s %s", answer.Status, body)
			}
			w.wantFinished(flow.Callback, row.reason)
			if b.sessionCookie() != before || !b.session().Authenticated {
				t.Error("the session was touched")
			}
		})
	}
}

// STEP-08: a step-up that comes back as somebody else logs nobody in, and the
// session it began with is over.
func TestStepUpAsSomebodyElse(t *testing.T) {
	for name, site := range map[string]string{"cookie held back": crossSite, "cookie comes along": sameOrigin} {
		t.Run(name, func(t *testing.T) {
			w, server := scripted(t, allowing("acr_values", "max_age"))
			b := w.browser()
			b.logIn("/")
			first := b.sessionCookie()
			server.Behave(claiming(map[string]any{"acr": "gold", "sub": "bob"}))
			answer := b.navigate(b.throughScripted(b.beginWith(steppingUp)), site)
			if answer.StatusCode != http.StatusBadRequest {
				t.Errorf("%s", answer.Status)
			}
			w.wantFinished(flow.Callback, login.ReasonOtherUser)
			w.wantReplaced(first)
			if b.session().Authenticated {
				t.Error("somebody is logged in")
			}
			if w.discards() != 1 {
				t.Errorf("%d sets of tokens discarded, want that of the other user", w.discards())
			}
		})
	}
}

// Without a session these parameters make an ordinary login, of anybody.
func TestDemandingLoginWithoutSession(t *testing.T) {
	w, server := scripted(t, allowing("acr_values"))
	b := w.browser()
	b.cookies[session.CookieName] = &http.Cookie{Name: session.CookieName, Value: strings.Repeat("A", 43), SameSite: http.SameSiteStrictMode}
	server.Behave(claiming(map[string]any{"acr": "gold", "sub": "bob"}))
	bounceOf(t, b.navigate(b.throughScripted(b.beginWith(steppingUp)), crossSite))
	if s := b.session(); s.Claims["sub"] != "bob" {
		t.Errorf("session: %+v", s)
	}
}

// What the policy demands holds for every login, whatever the page asks for.
func TestPolicyDemands(t *testing.T) {
	policy := v1alpha1.Login{ACRValues: []string{"gold", "silver"}, MaxAge: &metav1.Duration{Duration: time.Hour},
		AllowedParameters: []v1alpha1.LoginParameter{"acr_values", "max_age"}}
	w, server := scripted(t, setup{login: policy})
	b := w.browser()
	if q := b.begin("/").Query(); q.Get("acr_values") != "gold silver" || q.Get("max_age") != "3600" {
		t.Errorf("%v", q)
	}
	if q := b.beginWith(url.Values{"acr_values": {"silver"}, "max_age": {"7200"}}).Query(); q.Get("acr_values") != "silver" || q.Get("max_age") != "3600" {
		t.Errorf("%v", q)
	}
	if answer := b.navigate("/bff/login?acr_values=bronze", sameOrigin); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("%s", answer.Status)
	}
	for acr, status := range map[string]int{"bronze": http.StatusBadRequest, "silver": http.StatusOK, "gold": http.StatusOK} {
		server.Behave(claiming(map[string]any{"acr": acr}))
		if answer := b.navigate(b.throughScripted(b.begin("/")), crossSite); answer.StatusCode != status {
			t.Errorf("a login as %s: %s", acr, answer.Status)
		}
	}
}

// A step-up while the store is away is not begun: nothing is known of whom it
// would be.
func TestStepUpWithoutStore(t *testing.T) {
	w, server := scripted(t, allowing("acr_values"))
	b := w.browser()
	b.logIn("/")
	w.outage.fail(session.ErrUnavailable)
	if answer := b.navigate("/bff/login?acr_values=gold", sameOrigin); answer.StatusCode != http.StatusServiceUnavailable || server.Count("/authorize") != 1 {
		t.Errorf("%s", answer.Status)
	}
	w.wantFinished(flow.Login, flow.ReasonStoreUnavailable)
}
