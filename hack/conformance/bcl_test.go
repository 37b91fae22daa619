//go:build conformance

package conformance

import (
	"bufio"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

const formType = "application/x-www-form-urlencoded"

func TestBCL_01_TheEndpointTakesAFormAndNothingElse(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-01", "BCL-11", "BCL-16", "BCL-17")
	w := newWorld(t)
	l := w.LoginAs("alice")
	endpoint, token := w.Shop("/bff/backchannel-logout"), w.Naming("alice", l.sid)
	refused := func(what string, r *ua.Response, status int) {
		t.Helper()
		if r.Status != status {
			t.Errorf("%s:", what)
		}
		w.WantNotLoggedOut(&http.Response{StatusCode: r.Status, Status: r.String(), Header: r.Header}, r.Body, status)
		w.WantAlive(l)
	}
	send := func(method, to, contentType, body string) *ua.Response {
		return w.NewAgent().Fetch(ua.Call{Method: method, URL: to, Header: http.Header{"Content-Type": {contentType}}, Body: []byte(body)})
	}
	body := url.Values{"logout_token": {token}}.Encode()
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		r := send(method, endpoint+"?"+body, formType, body)
		if r.Header.Get("Allow") != "POST" {
			t.Errorf("%s: Allow is %q", method, r.Header.Get("Allow"))
		}
		if method == "HEAD" { // no body to look at
			r.Body = `{"error":"-"}`
		}
		refused(method, r, http.StatusMethodNotAllowed)
	}
	for what, r := range map[string]*ua.Response{
		"in the URL":                send("POST", endpoint+"?"+body, formType, ""),
		"no logout_token":           send("POST", endpoint, formType, "token="+token),
		"an empty one":              send("POST", endpoint, formType, "logout_token="),
		"the same one twice":        send("POST", endpoint, formType, body+"&"+body),
		"two":                       send("POST", endpoint, formType, body+"&logout_token="+w.Naming("bob", "")),
		"one and nothing":           send("POST", endpoint, formType, body+"&logout_token="),
		"another name":              send("POST", endpoint, formType, "LOGOUT_TOKEN="+token),
		"JSON":                      send("POST", endpoint, "application/json", `{"logout_token":"`+token+`"}`),
		"the bare token":            send("POST", endpoint, "application/logout+jwt", token),
		"text":                      send("POST", endpoint, "text/plain", body),
		"a multipart form":          send("POST", endpoint, "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"logout_token\"\r\n\r\n"+token+"\r\n--b--\r\n"),
		"no type":                   send("POST", endpoint, "", body),
		"nothing at all":            send("POST", endpoint, formType, ""),
		"a form that is broken":     send("POST", endpoint, formType, body+"&a=%zz"),
		"a megabyte of something":   send("POST", endpoint, formType, "a="+strings.Repeat("a", 1<<20)+"&"+body),
		"a token that does not end": send("POST", endpoint, formType, "logout_token="+strings.Repeat("a.", 10<<10)),
	} {
		refused(what, r, http.StatusBadRequest)
	}
	w.WantLoggedOut(w.BackChannel(token))
	w.WantEnded(l)
}

func TestBCL_01_NothingButTheTokenCounts(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-01", "BCL-15")
	w := newWorld(t)
	other := w.LoginAs("bob")
	for what, send := range map[string]func(token string) *ua.Response{
		"with other parameters": func(token string) *ua.Response {
			return w.postLogout(http.Header{"Content-Type": {formType}}, "a=1&a=2&state=x&logout_token="+token+"&nonce=n&sid="+other.sid)
		},
		"with a charset": func(token string) *ua.Response {
			return w.postLogout(http.Header{"Content-Type": {formType + "; charset=UTF-8"}}, "logout_token="+token)
		},
		"percent-encoded": func(token string) *ua.Response {
			return w.postLogout(http.Header{"Content-Type": {formType}}, "logout_token="+strings.ReplaceAll(token, "e", "%65"))
		},
		"with a cookie of somebody else": func(token string) *ua.Response {
			return w.postLogout(http.Header{"Content-Type": {formType}, "Cookie": {cookieName + "=" + other.cookie}}, "logout_token="+token)
		},
		"as a browser at the provider might": func(token string) *ua.Response {
			return w.postLogout(http.Header{"Content-Type": {formType}, "Origin": {"https://id.provider.test"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"cors"}}, "logout_token="+token)
		},
	} {
		l := w.LoginAs("alice")
		r := send(w.Naming("", l.sid))
		if r.Status != http.StatusOK || len(r.Cookies()) > 0 {
			t.Errorf("%s: %s, %d cookies", what, r, len(r.Cookies()))
		}
		w.WantEnded(l)
		w.WantAlive(other)
	}
}

// postLogout posts to the back channel with no cookie and no header of a
// browser, but those given.
func (w *world) postLogout(header http.Header, body string) *ua.Response {
	w.Helper()
	for _, name := range []string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Origin"} {
		if header.Get(name) == "" {
			header[name] = nil
		}
	}
	return w.NewAgent().Fetch(ua.Call{Method: "POST", URL: w.Shop("/bff/backchannel-logout"), Header: header, Body: []byte(body)})
}

func TestBCL_09_ATokenSentAgainEndsNothingThatHasBegunSince(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-09", "BCL-13")
	w := newWorld(t, replicas(2))
	first := w.LoginAs("alice")
	bySubject, bySID := w.Naming("alice", ""), w.Naming("alice", first.sid)
	w.WantLoggedOut(w.BackChannel(bySubject))
	w.WantEnded(first)
	second := w.LoginAs("alice")
	for replica := range w.Replicas {
		w.Target(replica)
		for range 2 {
			w.WantLoggedOut(w.BackChannel(bySubject))
			w.WantLoggedOut(w.BackChannel(bySID))
		}
	}
	w.WantAlive(second)
	w.WantLoggedOut(w.BackChannel(w.Naming("alice", ""))) // one of the same content that is new
	w.WantEnded(second)
}

func TestBCL_09_OneTokenAtBothReplicasAtOnce(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-09", "BCL-12")
	w := newWorld(t, replicas(2))
	l := w.LoginAs("alice")
	body := url.Values{"logout_token": {w.Naming("alice", "")}}.Encode()
	agents := []*ua.Agent{w.fixedAgent(0), w.fixedAgent(1)}
	var calls sync.WaitGroup
	failed := make(chan string, 8)
	for i := range 8 {
		calls.Go(func() {
			r, err := agents[i%2].TryFetch(ua.Call{Method: "POST", URL: w.Shop("/bff/backchannel-logout"), Header: http.Header{"Content-Type": {formType}}, Body: []byte(body)})
			if err != nil || r.Status != http.StatusOK {
				failed <- textOf(r, err)
			}
		})
	}
	calls.Wait()
	close(failed)
	for message := range failed {
		t.Error(message)
	}
	w.WantEnded(l)
}

func textOf(r *ua.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	return r.String()
}

func TestBCL_10_13_WhoIsNotLoggedInIsLoggedOut(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-10", "BCL-13", "BCL-15", "BCL-17")
	w := newWorld(t)
	l := w.LoginAs("alice")
	for what, token := range map[string]string{
		"an unknown session":              w.Naming("", "sid-unknown"),
		"an unknown user":                 w.Naming("nobody", ""),
		"an unknown user and session":     w.Naming("nobody", "sid-unknown"),
		"a session that is gone, of hers": w.Naming("alice", "sid-gone"),
	} {
		response, body := w.BackChannel(token)
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s:", what)
		}
		w.WantLoggedOut(response, body)
		w.WantAlive(l)
	}
	w.WantLoggedOut(w.BackChannel(w.Naming("alice", l.sid)))
	w.WantLoggedOut(w.BackChannel(w.Naming("alice", l.sid)))
	w.WantEnded(l)
}

func TestBCL_12_WhichSessionsEndAndWhere(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-12")
	t.Run("sid alone: that one", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, replicas(2))
		one, two, bob := w.LoginAs("alice"), w.LoginAs("alice"), w.LoginAs("bob")
		w.WantAlive(one, two, bob) // so that both replicas have them at hand
		w.WantLoggedOut(w.BackChannel(w.Naming("", one.sid)))
		w.WantEnded(one)
		w.WantAlive(two, bob)
	})
	t.Run("sub alone: all of that user", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, replicas(2))
		one, two, bob, prefix := w.LoginAs("alice"), w.LoginAs("alice"), w.LoginAs("bob"), w.LoginAs("alice2")
		w.WantAlive(one, two, bob, prefix)
		w.Target(1)
		w.WantLoggedOut(w.BackChannel(w.Naming("alice", "")))
		w.WantEnded(one, two)
		w.WantAlive(bob, prefix)
	})
	t.Run("both: by sid", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, replicas(2))
		one, two := w.LoginAs("alice"), w.LoginAs("alice")
		w.WantAlive(one, two)
		w.WantLoggedOut(w.BackChannel(w.Naming("alice", one.sid)))
		w.WantEnded(one)
		w.WantAlive(two)
	})
	t.Run("a store in memory", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, inMemory())
		one, two, bob := w.LoginAs("alice"), w.LoginAs("alice"), w.LoginAs("bob")
		w.WantLoggedOut(w.BackChannel(w.Naming("", two.sid)))
		w.WantEnded(two)
		w.WantAlive(one, bob)
		w.WantLoggedOut(w.BackChannel(w.Naming("alice", "")))
		w.WantEnded(one)
		w.WantAlive(bob)
	})
}

func TestBCL_12_AStoreThatIsAwayPutsALogoutOffAndLosesNone(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-12", "BCL-16", "BCL-17")
	w := newWorld(t, ownStore(), replicas(2))
	one, two := w.LoginAs("alice"), w.LoginAs("bob")
	w.WantAlive(one, two)
	if err := w.Store.Freeze(); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{w.Naming("", one.sid), w.Naming("bob", "")} {
		response, body := w.BackChannel(token)
		w.WantNotLoggedOut(response, body, http.StatusServiceUnavailable)
		if response.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if err := w.Store.Thaw(); err != nil {
		t.Fatal(err)
	}
	// The provider says it once. That is enough.
	w.WantEnded(one, two)
}

func TestBCL_19_TheLogoutURIFollowsThePolicy(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-19", "FCL-01")
	for _, public := range []string{shopURL + "#x", shopURL + "/#x", shopURL + "/path", shopURL + "?a=b", "https://user@shop.example.test", "//shop.example.test", "shop.example.test", "http://shop.example.test"} {
		prepare(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.PublicURL = public })).WantNoStart("spec.publicURL")
	}
	for _, base := range []string{"bff", "/bff#x", "/bff?x", "/bff/", "/", "//bff", "/b ff", "https://other.test/bff"} {
		prepare(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.Endpoints.BasePath = base })).WantNoStart("spec.endpoints.basePath")
	}
}

func TestBCL_22_StreamsOfAnEndedSessionCloseOnEveryReplica(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-22", "BCL-12")
	for what, token := range map[string]func(*world, string) string{
		"by sid": func(w *world, sid string) string { return w.Naming("", sid) },
		"by sub": func(w *world, _ string) string { return w.Naming("alice", "") },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, replicas(2))
			w.Login()
			sid := w.AS.Tokens()[0].SID
			gone := make(chan struct{})
			w.RS.Answer(func(r *rs.Request) rs.Reply {
				switch {
				case strings.HasPrefix(r.Target, "/api/socket"):
					return rs.WebSocketEcho(r)
				case strings.HasPrefix(r.Target, "/api/stream"):
					return endless(gone)
				}
				return rs.Echo(r)
			})
			w.Target(1) // everything below is open at the replica that the provider does not call
			events := bufio.NewReader(w.UA.EventSource(w.Shop("/bff/events")).Body)
			stream := w.UA.EventSource(w.Shop("/api/stream"))
			chunk := make([]byte, 4)
			if _, err := io.ReadFull(stream.Body, chunk); err != nil || stream.StatusCode != http.StatusOK {
				t.Fatalf("stream: %s, %v", stream.Status, err)
			}
			socket := w.UA.WebSocket(w.Shop("/api/socket"), w.Shop("/"))
			if socket.Status != http.StatusSwitchingProtocols {
				t.Fatalf("WebSocket: %d %s", socket.Status, socket.Body)
			}
			if _, err := io.WriteString(socket, "ping"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(socket.In, chunk); err != nil || string(chunk) != "ping" {
				t.Fatalf("WebSocket: %q, %v", chunk, err)
			}
			w.Target(0)
			w.WantLoggedOut(w.BackChannel(token(w, sid)))

			heard := within(w, "the event stream ends", func() string { all, _ := io.ReadAll(events); return string(all) })
			if !strings.Contains(heard, "event: ended\n") || !strings.Contains(heard, `"backchannel_logout"`) {
				t.Errorf("the page heard %q", heard)
			}
			within(w, "the proxied stream ends", func() string { _, _ = io.Copy(io.Discard, stream.Body); return "" })
			within(w, "the proxied stream's upstream is let go", func() string { <-gone; return "" })
			within(w, "the WebSocket ends", func() string { _, _ = io.Copy(io.Discard, socket.In); return "" })
			w.Target(1)
			w.RS.Forget()
			if r := w.Call("GET", "/api/x"); r.Status != http.StatusUnauthorized {
				t.Errorf("the next call: %s", r)
			}
			if s := w.UA.WebSocket(w.Shop("/api/socket"), w.Shop("/")); s.Status != http.StatusUnauthorized {
				t.Errorf("the next WebSocket: %d %s", s.Status, s.Body)
			}
			w.WantUpstream(0)
		})
	}
}

// endless is an event stream that goes on until nobody takes it any more.
func endless(gone chan<- struct{}) rs.Reply {
	return rs.Reply{Fields: rs.Fields("Content-Type", "text/event-stream"), Stream: func(write func([]byte) error) {
		defer close(gone)
		for write([]byte("data: x\n\n")) == nil {
			time.Sleep(10 * time.Millisecond) // a feed's pace
		}
	}}
}

// within waits for what may take a while, and ends the test after 15 s.
func within(w *world, what string, wait func() string) string {
	w.Helper()
	done := make(chan string, 1)
	go func() { done <- wait() }()
	select {
	case got := <-done:
		return got
	case <-time.After(15 * time.Second):
		w.Fatalf("never happened: %s", what)
		return ""
	}
}

func TestBCL_22_ACallUnderWayMayEndAndTheNextFails(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-22")
	w := newWorld(t, replicas(2))
	w.Login()
	sid, call := w.AS.Tokens()[0].SID, withCookie(w.CallOf("GET", "/api/x"), w.Cookie())
	arrived, release := make(chan struct{}), make(chan struct{})
	w.RS.Answer(func(r *rs.Request) rs.Reply { close(arrived); <-release; return rs.Echo(r) })
	answered := make(chan string, 1)
	there := w.fixedAgent(1)
	go func() {
		r, err := there.TryFetch(call)
		answered <- textOf(r, err)
	}()
	<-arrived
	w.WantLoggedOut(w.BackChannel(w.Naming("", sid)))
	close(release)
	t.Logf("the call under way: %s", <-answered) // it has an answer, whichever
	w.RS.Answer(w.protected)
	w.RS.Forget()
	for replica := range w.Replicas {
		w.Target(replica)
		w.WantProblem(w.NewAgent().Fetch(call), http.StatusUnauthorized, "session_ended")
	}
	w.WantUpstream(0)
}
