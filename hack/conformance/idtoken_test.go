//go:build conformance

package conformance

import (
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// spoil changes an ID token before it is signed. What it returns is sent in its
// place; "" has AS* sign what it has made of it.
type spoil func(claims, header map[string]any) string

// with sets one claim.
func with(claim string, value any) spoil {
	return func(claims, _ map[string]any) string { claims[claim] = value; return "" }
}

// dropping leaves one claim out.
func dropping(claim string) spoil {
	return func(claims, _ map[string]any) string { delete(claims, claim); return "" }
}

// badToken is an ID token that is to be refused, and the reason code for it.
type badToken struct {
	spoil  spoil
	reason string
}

// askingUserInfo has the sidecar ask the UserInfo endpoint at login. For whom
// only sees the network, as the OpenID Foundation's suite does, that is what
// tells an ID token that was accepted from one that was not.
func askingUserInfo() option {
	return policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.UserInfo = v1alpha1.Enabled })
}

// Case runs a part of a test under a name, in this world.
func (w *world) Case(name string, run func()) {
	w.Helper()
	w.Run(name, func(t *testing.T) {
		outer := w.T
		w.T = t
		defer func() { w.T = outer }()
		run()
	})
}

// LoginWith logs in with spoiled ID tokens, in a browser that has nothing yet.
func (w *world) LoginWith(s spoil) *ua.Response {
	w.Helper()
	w.UA.Jar.Clear()
	w.AS.Change(func(b *as.Behaviour) {
		b.IDToken = func(_ string, claims, header map[string]any) string { return s(claims, header) }
	})
	defer w.AS.Change(func(b *as.Behaviour) { b.IDToken = nil })
	return w.LoginAt(w.UA, "")
}

// WantRefused checks that each of the ID tokens is refused for its reason before
// anything of the answer is used, and that the same sidecar then accepts a good
// one. It needs askingUserInfo.
func (w *world) WantRefused(tokens map[string]badToken) {
	w.Helper()
	w.AS.Forget()
	for name, token := range tokens {
		w.Case(name, func() {
			before := w.Rejected(token.reason)
			w.WantNoLogin(w.LoginWith(token.spoil))
			w.Eventually("the log gives the reason "+token.reason, func() bool { return w.Rejected(token.reason) > before })
		})
	}
	w.WantAccepted(map[string]spoil{"a good one": func(_, _ map[string]any) string { return "" }})
}

// WantAccepted checks that each of the ID tokens makes a session. It needs
// askingUserInfo.
func (w *world) WantAccepted(tokens map[string]spoil) {
	w.Helper()
	for name, change := range tokens {
		w.Case(name, func() {
			w.AS.Forget()
			w.WantLogin(w.LoginWith(change))
			if n := len(w.AS.Requests(as.UserInfo)); n != 1 {
				w.Errorf("UserInfo was asked %d times, want once", n)
			}
		})
	}
}
