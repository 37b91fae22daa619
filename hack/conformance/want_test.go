//go:build conformance

package conformance

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// WantNoLogin checks that a login has ended in a refusal: an error page with
// nothing of the provider on it, no session cookie, and no token used at UserInfo
// or an API.
func (w *world) WantNoLogin(r *ua.Response) {
	w.Helper()
	if r.Status < 400 || r.URL.Host != hostOf(shopURL) {
		w.Errorf("the login ended with %s at %s, want a refusal", r, r.URL.Host)
	}
	if w.Cookie() != "" {
		w.Error("there is a session cookie")
	}
	if n := len(w.AS.Requests(as.UserInfo)); n != 0 {
		w.Errorf("UserInfo was asked %d times", n)
	}
	if n := len(w.RS.Requests()); n != 0 {
		w.Errorf("the API was called %d times", n)
	}
}

// WantNoLoginBecause is WantNoLogin, and the reason code that the log gives.
func (w *world) WantNoLoginBecause(r *ua.Response, reason string) {
	w.Helper()
	w.WantNoLogin(r)
	w.Eventually("the log gives the reason "+reason, func() bool { return w.Rejected(reason) > 0 })
}

// WantLogin checks that a login has worked.
func (w *world) WantLogin(r *ua.Response) {
	w.Helper()
	if r.Status != http.StatusOK || w.Cookie() == "" || !w.Session().Authenticated {
		w.Errorf("the login ended with %s", r)
	}
}

// problem is an answer by RFC 9457.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	Instance  string `json:"instance"`
	RequestID string `json:"requestID"`
	LoginURL  string `json:"loginURL"`
}

// WantProblem checks that an answer is a problem with a status, and with one of
// the codes if any are given.
func (w *world) WantProblem(r *ua.Response, status int, codes ...string) problem {
	w.Helper()
	var p problem
	if kind := r.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/problem+json") {
		w.Errorf("%s is %s, want a problem", r, kind)
		return p
	}
	if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
		w.Errorf("%s: %v", r, err)
	}
	if r.Status != status || p.Status != status {
		w.Errorf("%s says status %d, want %d", r, p.Status, status)
	}
	known := len(codes) == 0
	for _, code := range codes {
		known = known || p.Code == code
	}
	if !known {
		w.Errorf("%s has the code %q, want one of %q", r, p.Code, codes)
	}
	return p
}

// WantUpstream checks that exactly n calls have reached RS* since the last
// Forget.
func (w *world) WantUpstream(n int) {
	w.Helper()
	if got := len(w.RS.Requests()); got != n {
		w.Errorf("%d calls have reached the API, want %d", got, n)
	}
}
