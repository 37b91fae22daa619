package proxy_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/proxy"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

var ofTheIngress = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}

// BFF-37, GAP-10: an upstream gets the address that we believe in, and no word
// of anybody else's.
func TestUpstreamsGetTheClientsAddress(t *testing.T) {
	u := newUpstream(t, ok)
	r := newRig(t, parts{upstream: u.URL, application: strings.TrimPrefix(u.URL, "http://"), trusted: ofTheIngress})
	for _, target := range []string{"/api", "/page"} {
		for name, c := range map[string]struct{ peer, header, want string }{
			"directly":                       {"203.0.113.9:1", "X-Forwarded-For: 198.51.100.1", "203.0.113.9"},
			"through the ingress":            {"10.1.2.3:1", "X-Forwarded-For: 198.51.100.1, 203.0.113.9", "203.0.113.9"},
			"under another spelling":         {"10.1.2.3:1", "X_Forwarded_For: 198.51.100.1", "10.1.2.3"},
			"in the header of RFC 7239":      {"10.1.2.3:1", "Forwarded: for=198.51.100.1", "10.1.2.3"},
			"by IPv6":                        {"[2001:db8::9]:1", "X-Forwarded-For: 198.51.100.1", "2001:db8::9"},
			"through something without name": {"@", "X-Forwarded-For: 198.51.100.1", ""},
		} {
			req := r.call("GET", target, c.header, "Forwarded: for=evil", "X-Real-Ip: evil")
			req.RemoteAddr = c.peer
			if answer := r.do(req); answer.StatusCode != http.StatusOK {
				t.Errorf("%s, %s: %d", target, name, answer.StatusCode)
			}
			got := u.last(t).Header
			want := []string{c.want}
			if c.want == "" {
				want = nil
			}
			if !slices.Equal(got["X-Forwarded-For"], want) || got.Get("Forwarded") != "" || got.Get("X-Real-Ip") != "" {
				t.Errorf("%s, %s: %v", target, name, got)
			}
		}
	}
}

// A session that is used from elsewhere: by mode, for calls and for an
// application that requires a login.
func TestBoundSession(t *testing.T) {
	home := session.Session{Network: netip.MustParsePrefix("203.0.113.0/24")}
	for mode, c := range map[v1alpha1.BindingMode]struct {
		status  int
		code    string
		cleared bool
		ended   bool
		audited []gate.Move
	}{
		v1alpha1.BindingDisabled:       {status: 200},
		v1alpha1.BindingAudit:          {status: 200, audited: []gate.Move{gate.MoveNoted}},
		v1alpha1.BindingReauthenticate: {status: 401, code: "network_changed", audited: []gate.Move{gate.MoveRefused}},
		v1alpha1.BindingTerminate:      {status: 401, code: "session_ended", cleared: true, ended: true, audited: []gate.Move{gate.MoveEnds}},
	} {
		for _, target := range []string{"/api", "/page"} {
			u := newUpstream(t, ok)
			r := newRig(t, parts{upstream: u.URL, application: strings.TrimPrefix(u.URL, "http://"), requireLogin: true,
				trusted: ofTheIngress, binding: mode, session: home})
			from := func(address string) *http.Response {
				req := r.call("GET", target, "X-Forwarded-For: "+address)
				req.RemoteAddr = "10.1.2.3:1"
				return r.do(req)
			}
			if answer := from("203.0.113.77"); answer.StatusCode != http.StatusOK {
				t.Errorf("%s, %s: at home: %d", mode, target, answer.StatusCode)
			}
			arrived := len(u.requests())
			answer := from("198.51.100.1")
			if got := code(t, answer); answer.StatusCode != c.status || got != c.code {
				t.Errorf("%s, %s: %d %s", mode, target, answer.StatusCode, got)
			}
			if cleared := len(answer.Header["Set-Cookie"]) > 0; cleared != c.cleared {
				t.Errorf("%s, %s: cookie cleared: %t", mode, target, cleared)
			}
			if (len(u.requests()) > arrived) != (c.status == 200) {
				t.Errorf("%s, %s: %d calls arrived", mode, target, len(u.requests())-arrived)
			}
			_, err := r.sessions.Find(t.Context(), r.cookie)
			if errors.Is(err, session.ErrNone) != c.ended || c.ended && session.ReasonOf(err) != session.EndNetwork {
				t.Errorf("%s, %s: afterwards: %v", mode, target, err)
			}
			if !slices.Equal(r.audited, c.audited) {
				t.Errorf("%s, %s: audited %v", mode, target, r.audited)
			}
		}
	}
}

// A page that is opened from elsewhere goes to the login, where it gets a
// session of its own.
func TestNavigationFromAnotherNetwork(t *testing.T) {
	r := newRig(t, parts{upstream: "http://127.0.0.1:1", application: free(t), requireLogin: true, binding: v1alpha1.BindingReauthenticate,
		session: session.Session{Network: netip.MustParsePrefix("203.0.113.0/24")}})
	req := r.call("GET", "/page", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: none")
	req.RemoteAddr = "198.51.100.1:1"
	if answer := r.do(req); answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/bff/login?returnTo=%2Fpage" {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
}

// Whether a session may be used from here has to be known. A store that fails
// and a moment later does not opens no way around.
func TestBoundKnowsTheSession(t *testing.T) {
	r := newRig(t, parts{upstream: "http://127.0.0.1:1"})
	for err, want := range map[error]int{
		session.ErrUnavailable:   http.StatusServiceUnavailable,
		session.ErrUnreadable:    http.StatusServiceUnavailable,
		errors.New("a surprise"): http.StatusInternalServerError,
		session.ErrNone:          http.StatusNoContent, // next says it in its own way
	} {
		common := proxy.Common{Sessions: failing{find: err}, Logger: slog.New(slog.DiscardHandler), LoginURL: "/bff/login"}
		answer := httptest.NewRecorder()
		common.Bound(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })).
			ServeHTTP(answer, r.call("GET", "/bff/session"))
		if answer.Code != want {
			t.Errorf("%v: %d, want %d", err, answer.Code, want)
		}
	}
}
