//go:build conformance

package conformance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/leak"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// loggedIn is a browser with a session.
type loggedIn struct {
	*ua.Agent
	subject, sid string
	cookie       string // of the session, whatever becomes of the jar
}

// LoginAs logs a user in, in a browser of its own.
func (w *world) LoginAs(subject string) loggedIn {
	w.Helper()
	w.AS.Change(func(b *as.Behaviour) { b.User = as.User{Subject: subject} })
	a := w.NewAgent()
	r := w.LoginAt(a, "")
	cookie := a.Jar.Value(cookieName)
	if r.Status != http.StatusOK || cookie == "" {
		w.Fatalf("login of %s ended with %s", subject, r)
	}
	issued := w.AS.Tokens()
	return loggedIn{a, subject, issued[len(issued)-1].SID, cookie}
}

// Alive says whether a replica knows a session, without using it.
func (w *world) Alive(replica int, l loggedIn) bool {
	w.Helper()
	defer w.Target(int(w.target.Load()))
	w.Target(replica)
	r := l.Fetch(withCookie(w.CallOf("GET", "/bff/session"), l.cookie))
	var s session
	if err := json.Unmarshal([]byte(r.Body), &s); err != nil || r.Status != http.StatusOK {
		w.Fatalf("session: %s, %v", r, err)
	}
	return s.Authenticated
}

// WantAlive checks that every replica knows the sessions.
func (w *world) WantAlive(sessions ...loggedIn) {
	w.Helper()
	for _, l := range sessions {
		for replica := range w.Replicas {
			if !w.Alive(replica, l) {
				w.Errorf("session %s of %s has ended, says replica %d", l.sid, l.subject, replica)
			}
		}
	}
}

// WantEnded checks that no replica knows the sessions any more, nor lets them
// call an API.
func (w *world) WantEnded(sessions ...loggedIn) {
	w.Helper()
	defer w.Target(int(w.target.Load()))
	for _, l := range sessions {
		for replica := range w.Replicas {
			w.Eventually("the session ends everywhere", func() bool { return !w.Alive(replica, l) })
			w.Target(replica)
			if r := l.Fetch(withCookie(w.CallOf("GET", "/api/x"), l.cookie)); r.Status != http.StatusUnauthorized {
				w.Errorf("session %s of %s can still call, at replica %d: %s", l.sid, l.subject, replica, r)
			}
		}
	}
}

// Naming is a good logout token that names a user, a session or both; "" leaves
// one out.
func (w *world) Naming(subject, sid string) string {
	return w.AS.LogoutToken(func(claims, _ map[string]any) { naming(claims, subject, sid) })
}

func naming(claims map[string]any, subject, sid string) {
	for claim, value := range map[string]string{"sub": subject, "sid": sid} {
		if value != "" {
			claims[claim] = value
		}
	}
}

// WantLoggedOut checks the answer to a good logout token.
func (w *world) WantLoggedOut(response *http.Response, body string) {
	w.Helper()
	if response.StatusCode != http.StatusOK || body != "" {
		w.Errorf("a good logout token is answered by %s %q", response.Status, body)
	}
	w.wantProviderAnswer(response)
}

// WantNotLoggedOut checks that a logout token, or what came in its place, is
// refused in the provider's own terms (OpenID Connect Back-Channel Logout section
// 2.8), with one of the statuses.
func (w *world) WantNotLoggedOut(response *http.Response, body string, statuses ...int) {
	w.Helper()
	known := false
	for _, status := range statuses {
		known = known || response.StatusCode == status
	}
	if !known {
		w.Errorf("answered by %s %q, want %v", response.Status, body, statuses)
	}
	var refusal struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal([]byte(body), &refusal); err != nil || refusal.Error == "" || response.Header.Get("Content-Type") != "application/json" {
		w.Errorf("the body is no JSON with error: %s %q, %v", response.Header.Get("Content-Type"), body, err)
	}
	w.wantProviderAnswer(response)
}

func (w *world) wantProviderAnswer(response *http.Response) {
	w.Helper()
	if response.Header.Get("Cache-Control") != "no-store" {
		w.Errorf("Cache-Control is %q", response.Header.Get("Cache-Control"))
	}
	if len(response.Header.Values("Set-Cookie")) > 0 || response.Header.Get("Location") != "" {
		w.Errorf("the provider is sent a cookie or somewhere else: %v", response.Header)
	}
}

// providerAnswer is what the client has answered to a logout token.
type providerAnswer struct {
	response *http.Response
	body     string
	err      error
}

// RPInitiated logs in and out again as in the logout modules of the OpenID
// Foundation's suite: while the browser is at the end_session_endpoint the
// provider posts to the client's back channel, and only then it sends the browser
// back. form makes what is posted of the claims of a good logout token about the
// session that is ending.
func (w *world) RPInitiated(form func(claims map[string]any) url.Values) (providerAnswer, *ua.Response) {
	w.Helper()
	answers := make(chan providerAnswer, 1)
	w.AS.Register(func(c *as.Client) {
		c.BackChannelLogoutURI, c.BackChannelAddress = w.Shop("/bff/backchannel-logout"), w.Replicas[0].Traffic
	})
	w.AtEndSession(func(_ http.ResponseWriter, r *http.Request) bool {
		var good map[string]any
		w.AS.LogoutToken(func(claims, _ map[string]any) { good = claims })
		_, hint, err := as.Decode(r.PostFormValue("id_token_hint"))
		if err != nil {
			answers <- providerAnswer{err: err}
			return false
		}
		good["sub"], good["sid"] = hint["sub"], hint["sid"]
		values := form(good)
		w.Leaks.Add("logout token", values.Get("logout_token"), leak.Nowhere)
		response, body, err := w.AS.PostLogout(values)
		answers <- providerAnswer{response, body, err}
		w.AS.Register(func(c *as.Client) { c.BackChannelLogoutURI = "" }) // one is enough
		return false
	})
	w.Login()
	end := w.UA.Go(ua.Navigation{URL: w.Shop(w.Logout()), From: w.Shop("/")})
	var answer providerAnswer
	select {
	case answer = <-answers:
	default:
		w.Fatalf("the browser has not been at the provider but at %s", end.URL)
	}
	if answer.err != nil {
		w.Fatalf("back channel: %v", answer.err)
	}
	if end.URL.String() != shopURL+"/" || end.Status != http.StatusOK {
		w.Errorf("the logout has ended with %s at %s", end, end.URL)
	}
	return answer, end
}

// AtEndSession has the end_session_endpoint do something first. If it returns
// true it has answered.
func (w *world) AtEndSession(do func(http.ResponseWriter, *http.Request) bool) {
	w.AS.Change(func(b *as.Behaviour) {
		b.Answer = map[as.Endpoint]func(http.ResponseWriter, *http.Request) bool{as.EndSession: do}
	})
}

// AtRevocation has the revocation endpoint answer otherwise.
func (w *world) AtRevocation(status int, contentType, body string) {
	w.AS.Change(func(b *as.Behaviour) {
		b.Answer = map[as.Endpoint]func(http.ResponseWriter, *http.Request) bool{as.Revocation: func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.Header().Set("Content-Type", contentType)
			rw.WriteHeader(status)
			_, _ = strings.NewReader(body).WriteTo(rw) // the client has gone
			return true
		}}
	})
}

// Revocations waits for as many revocations and returns all there are.
func (w *world) Revocations(n int) []*as.Request {
	w.Helper()
	w.Eventually("the revocation", func() bool { return len(w.AS.Requests(as.Revocation)) >= n })
	return w.AS.Requests(as.Revocation)
}

// Revoked is how many revocations the sidecars count, by result; "" is any.
func (w *world) Revoked(result string) int {
	w.Helper()
	total, labels := 0.0, ""
	if result != "" {
		labels = `result="` + result + `"`
	}
	for _, p := range w.Replicas {
		n, err := p.Metric("bff_token_revocations_total", labels)
		if err != nil {
			w.Fatal(err)
		}
		total += n
	}
	return int(total)
}
