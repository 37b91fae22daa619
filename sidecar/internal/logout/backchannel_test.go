package logout_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/logout"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

const form = "application/x-www-form-urlencoded"

func call(t *testing.T, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/bff/backchannel-logout", strings.NewReader(body))
	r.Header.Set("Content-Type", form)
	return r
}

// withSessions is a world with two users and three sessions, whose provider
// accepts tokens with this content.
func withSessions(t *testing.T, token provider.LogoutToken, changes ...func(*logout.Options)) *world {
	w := newWorld(t, changes...)
	w.sessions.add("a", "alice", "S1")
	w.sessions.add("b", "alice", "S2")
	w.sessions.add("c", "carol", "S3")
	token.Issuer, token.Expiry = issuer, time.Now().Add(2*time.Minute)
	if token.JTI == "" {
		token.JTI = "J1"
	}
	w.provider.verify = func(_ context.Context, raw string) (provider.LogoutToken, error) {
		if raw != "right" {
			return provider.LogoutToken{}, errors.New("not a token")
		}
		return token, nil
	}
	return w
}

func expectError(t *testing.T, answer *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
		t.Fatalf("%d %s: %v", answer.Code, answer.Body, err)
	}
	if answer.Code != status || body["error"] != code || body["error_description"] == "" || len(body) != 2 ||
		answer.Header().Get("Content-Type") != "application/json" || answer.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s %v, want %d %s", answer.Code, answer.Body, answer.Header(), status, code)
	}
}

func TestBackChannel(t *testing.T) {
	for name, row := range map[string]struct {
		token provider.LogoutToken
		alive string
		asked string
	}{
		"BCL-12 sid only":          {provider.LogoutToken{SID: "S1"}, "bc", "EndBySID S1"},
		"BCL-12 sub only":          {provider.LogoutToken{Subject: "alice"}, "c", "EndBySubject alice"},
		"BCL-12 both: by sid":      {provider.LogoutToken{SID: "S1", Subject: "alice"}, "bc", "EndBySID S1"},
		"BCL-10, BCL-13 over":      {provider.LogoutToken{SID: "S9"}, "abc", "EndBySID S9"},
		"BCL-10, BCL-13 stranger":  {provider.LogoutToken{Subject: "mallory"}, "abc", "EndBySubject mallory"},
		"sid of one, sub of other": {provider.LogoutToken{SID: "S3", Subject: "alice"}, "ab", "EndBySID S3"},
	} {
		t.Run(name, func(t *testing.T) {
			w := withSessions(t, row.token)
			answer := w.do(w.BackChannel, call(t, "logout_token=right"))
			// BCL-15, BCL-17
			if answer.Code != http.StatusOK || answer.Header().Get("Cache-Control") != "no-store" || answer.Body.Len() != 0 {
				t.Errorf("%d %v %s", answer.Code, answer.Header(), answer.Body)
			}
			if got := w.sessions.ids(); got != row.alive {
				t.Errorf("alive %q, want %q", got, row.alive)
			}
			if got := strings.Join(w.sessions.calls, ", "); got != row.asked {
				t.Errorf("asked %q, want %q", got, row.asked)
			}
			for id, why := range w.sessions.why {
				if why != session.EndBackChannel {
					t.Errorf("%s ended because of %q", id, why)
				}
			}
			w.settle()
			if len(w.provider.revoked()) != 0 {
				t.Error("tokens were revoked")
			}
			if !w.counts.has("backchannel_logout ok") {
				t.Errorf("counted %v", w.counts.all())
			}
		})
	}
}

// BCL-01, BCL-11, BCL-16: whatever is wrong ends nothing and says so.
func TestBackChannelRefuses(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	method := func(m string) func(*http.Request) { return func(r *http.Request) { r.Method = m } }
	for name, row := range map[string]struct {
		body   string
		change func(*http.Request)
		status int
	}{
		"GET":                 {"logout_token=right", method("GET"), 405},
		"HEAD":                {"logout_token=right", method("HEAD"), 405},
		"PUT":                 {"logout_token=right", method("PUT"), 405},
		"OPTIONS":             {"logout_token=right", method("OPTIONS"), 405},
		"no token":            {"", nil, 400},
		"another parameter":   {"token=right", nil, 400},
		"empty token":         {"logout_token=", nil, 400},
		"twice":               {"logout_token=right&logout_token=right", nil, 400},
		"twice, encoded":      {"logout_token=right&logout%5Ftoken=right", nil, 400},
		"wrong token":         {"logout_token=wrong", nil, 400},
		"undecodable":         {"logout_token=right&x=%zz", nil, 400},
		"semicolon":           {"logout_token=right;x=y", nil, 400},
		"too large":           {"logout_token=right&x=" + strings.Repeat("y", 32<<10), nil, 400},
		"JSON":                {`{"logout_token":"right"}`, header("Content-Type", "application/json"), 400},
		"form called JSON":    {"logout_token=right", header("Content-Type", "application/json"), 400},
		"multipart":           {"logout_token=right", header("Content-Type", "multipart/form-data; boundary=x"), 400},
		"no media type":       {"logout_token=right", func(r *http.Request) { r.Header.Del("Content-Type") }, 400},
		"two media types":     {"logout_token=right", func(r *http.Request) { r.Header["Content-Type"] = []string{form, "text/plain"} }, 400},
		"compressed":          {"logout_token=right", header("Content-Encoding", "gzip"), 400},
		"broken off":          {"logout_token=right", func(r *http.Request) { r.Body = io.NopCloser(brokenOff{}) }, 400},
		"token in the query":  {"", func(r *http.Request) { r.URL.RawQuery = "logout_token=right" }, 400},
		"token in the cookie": {"", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "logout_token", Value: "right"}) }, 400},
	} {
		t.Run(name, func(t *testing.T) {
			w := withSessions(t, provider.LogoutToken{SID: "S1"})
			r := call(t, row.body)
			if row.change != nil {
				row.change(r)
			}
			answer := w.do(w.BackChannel, r)
			expectError(t, answer, row.status, "invalid_request")
			if (row.status == 405) != (answer.Header().Get("Allow") == "POST") {
				t.Errorf("Allow %q", answer.Header().Get("Allow"))
			}
			if len(w.sessions.calls) != 0 || w.sessions.ids() != "abc" {
				t.Errorf("alive %q, asked %v", w.sessions.ids(), w.sessions.calls)
			}
		})
	}
}

type brokenOff struct{}

func (brokenOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// BCL-01: what stands beside the token is ignored, and no cookie or header is
// needed.
func TestBackChannelIgnoresWhatElseThereIs(t *testing.T) {
	for name, row := range map[string]struct{ body, contentType string }{
		"other parameters": {"a=1&logout_token=right&a=2&state=x", form},
		"a charset":        {"logout_token=right", form + "; charset=UTF-8"},
		"upper case":       {"logout_token=right", "Application/X-WWW-Form-Urlencoded"},
		"encoded":          {"logout_token=%72ight", form},
	} {
		t.Run(name, func(t *testing.T) {
			w := withSessions(t, provider.LogoutToken{SID: "S1"})
			r := call(t, row.body)
			r.Header.Set("Content-Type", row.contentType)
			r.AddCookie(session.Cookie(cookieOf("c"))) // not the one to end
			if answer := w.do(w.BackChannel, r); answer.Code != 200 || len(answer.Header()["Set-Cookie"]) != 0 {
				t.Errorf("%d %s", answer.Code, answer.Body)
			}
			if got := w.sessions.ids(); got != "bc" {
				t.Errorf("alive %q", got)
			}
		})
	}
}

// BCL-09: a token that comes again ends nothing that has begun since.
func TestBackChannelReplay(t *testing.T) {
	for name, token := range map[string]provider.LogoutToken{"sub": {Subject: "alice"}, "sid": {SID: "S1"}} {
		t.Run(name, func(t *testing.T) {
			w := withSessions(t, token)
			if answer := w.do(w.BackChannel, call(t, "logout_token=right")); answer.Code != 200 {
				t.Fatalf("%d %s", answer.Code, answer.Body)
			}
			w.sessions.add("d", "alice", "S4")
			if answer := w.do(w.BackChannel, call(t, "logout_token=right")); answer.Code != 200 {
				t.Errorf("again: %d %s", answer.Code, answer.Body)
			}
			if w.sessions.alive["d"] == nil {
				t.Error("the new session was ended")
			}
			for _, ttl := range w.sessions.seen {
				if ttl < time.Minute || ttl > 2*time.Minute {
					t.Errorf("remembered for %v, which is not the token's life", ttl)
				}
			}
		})
	}
}

// Another token of the same user is no replay.
func TestBackChannelTwoTokens(t *testing.T) {
	w := withSessions(t, provider.LogoutToken{})
	n := 0
	w.provider.verify = func(context.Context, string) (provider.LogoutToken, error) {
		n++
		return provider.LogoutToken{Issuer: issuer, Subject: "alice", JTI: fmt.Sprint("J", n), Expiry: time.Now().Add(time.Minute)}, nil
	}
	w.do(w.BackChannel, call(t, "logout_token=1"))
	w.sessions.add("d", "alice", "S4")
	w.do(w.BackChannel, call(t, "logout_token=2"))
	if got := w.sessions.ids(); got != "c" {
		t.Errorf("alive %q", got)
	}
}

// The provider's keys cannot be had: not the token's fault, so that the provider
// may send it again.
func TestBackChannelWithoutKeys(t *testing.T) {
	w := withSessions(t, provider.LogoutToken{})
	w.provider.verify = func(context.Context, string) (provider.LogoutToken, error) {
		return provider.LogoutToken{}, fmt.Errorf("verify: %w", provider.ErrUnavailable)
	}
	answer := w.do(w.BackChannel, call(t, "logout_token=right"))
	expectError(t, answer, 503, "temporarily_unavailable")
	if answer.Header().Get("Retry-After") == "" || w.sessions.ids() != "abc" {
		t.Errorf("Retry-After %q, alive %q", answer.Header().Get("Retry-After"), w.sessions.ids())
	}
}

// The store is away when a good token comes: the provider hears that, and the
// sessions end when the store is back, even if the provider asks no second time.
func TestBackChannelWithoutStore(t *testing.T) {
	for name, token := range map[string]provider.LogoutToken{"sub": {Subject: "alice"}, "sid": {SID: "S1"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := withSessions(t, token)
				w.sessions.down = errDown
				answer := w.do(w.BackChannel, call(t, "logout_token=right"))
				expectError(t, answer, 503, "temporarily_unavailable")
				time.Sleep(time.Minute)
				if got := w.sessions.ids(); got != "abc" {
					t.Errorf("alive %q", got)
				}
				w.sessions.set(func() { w.sessions.down = nil })
				w.settle()
				if w.sessions.alive["a"] != nil {
					t.Error("the session lives")
				}
			})
		})
	}
}

// The store has noted the token and its answer was lost: the next attempt must
// not take its own note for somebody else's.
func TestBackChannelLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withSessions(t, provider.LogoutToken{Subject: "alice"})
		w.sessions.lostAnswer = errDown
		expectError(t, w.do(w.BackChannel, call(t, "logout_token=right")), 503, "temporarily_unavailable")
		w.settle()
		if got := w.sessions.ids(); got != "c" {
			t.Errorf("alive %q", got)
		}
	})
}

// Nobody can make the sidecar verify more than so many tokens at once.
func TestBackChannelIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withSessions(t, provider.LogoutToken{})
		open := make(chan struct{})
		w.provider.verify = func(context.Context, string) (provider.LogoutToken, error) {
			<-open
			return provider.LogoutToken{}, errors.New("not a token")
		}
		var waiting sync.WaitGroup
		for range 16 {
			waiting.Go(func() { expectError(t, w.do(w.BackChannel, call(t, "logout_token=x")), 400, "invalid_request") })
		}
		synctest.Wait()
		answer := w.do(w.BackChannel, call(t, "logout_token=x"))
		expectError(t, answer, 503, "temporarily_unavailable")
		close(open)
		waiting.Wait()
		expectError(t, w.do(w.BackChannel, call(t, "logout_token=x")), 400, "invalid_request")
	})
}
