package logout_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/logout"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

const ticketName = "__Host-Http-bff-logout"

// direct is the provider's logout without a hint.
const direct = endpoint + "?client_id=shop&post_logout_redirect_uri=https%3A%2F%2Fshop.example.com%2F"

// fields are the hidden fields of a page's form, and its action.
func fields(t *testing.T, body string) (action string, values map[string]string) {
	t.Helper()
	form := regexp.MustCompile(`<form method="post" action="([^"]*)">`).FindStringSubmatch(body)
	if form == nil {
		t.Fatalf("no form: %s", body)
	}
	values = map[string]string{}
	for _, field := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(body, -1) {
		values[html.UnescapeString(field[1])] = html.UnescapeString(field[2])
	}
	return html.UnescapeString(form[1]), values
}

func goOn(t *testing.T, ticket *http.Cookie, headers []string) *http.Request {
	t.Helper()
	r := request(t, http.MethodGet, "/bff/logout/continue", "", headers)
	if ticket != nil {
		r.AddCookie(&http.Cookie{Name: ticket.Name, Value: ticket.Value})
	}
	return r
}

// RPL-01 to RPL-04, RPL-06: the session ends here, and a form takes the ID token
// to the provider, once.
func TestLogoutWithHint(t *testing.T) {
	w := newWorld(t)
	w.sessions.add("a", "alice", "S1")
	first := w.do(w.Logout, request(t, http.MethodPost, "/bff/logout", "a", script))
	if got := logoutURL(t, first); got != "/bff/logout/continue" {
		t.Errorf("logoutURL %q", got)
	}
	if w.sessions.ids() != "" || w.sessions.why["a"] != session.EndLogout {
		t.Errorf("alive %q, because of %q", w.sessions.ids(), w.sessions.why["a"])
	}
	cookies := setCookies(first)
	if c := cookies[session.CookieName]; c == nil || c.MaxAge >= 0 {
		t.Errorf("session cookie %v", c)
	}
	ticket := cookies[ticketName]
	if ticket == nil || !ticket.Secure || !ticket.HttpOnly || ticket.SameSite != http.SameSiteStrictMode || ticket.Path != "/" || ticket.Domain != "" ||
		ticket.MaxAge != 60 || w.sessions.ttl != time.Minute {
		t.Fatalf("ticket %v, parked for %v", ticket, w.sessions.ttl)
	}

	second := w.do(w.Continue, goOn(t, ticket, navigate))
	if second.Code != http.StatusOK || second.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", second.Code, second.Header())
	}
	if c := setCookies(second)[ticketName]; c == nil || c.MaxAge >= 0 {
		t.Errorf("ticket %v", c)
	}
	action, values := fields(t, second.Body.String())
	if action != endpoint || len(values) != 3 || values["id_token_hint"] != hint || values["client_id"] != "shop" || values["post_logout_redirect_uri"] != home {
		t.Errorf("form to %s with %v", action, values)
	}
	if got := second.Header().Get("Content-Security-Policy"); !strings.Contains(got, "; sandbox allow-forms allow-scripts;") {
		t.Errorf("policy %s", got)
	}

	third := w.do(w.Continue, goOn(t, ticket, navigate))
	if third.Code != http.StatusSeeOther || third.Header().Get("Location") != home || strings.Contains(third.Body.String(), "MARKER") {
		t.Errorf("a second time: %d %v", third.Code, third.Header())
	}

	w.settle()
	if got := w.provider.revoked(); len(got) != 1 || got[0].Refresh != "MARKER-refresh-a" {
		t.Errorf("REV-02: %d revocations", len(got))
	}
	for _, answer := range []*httptest.ResponseRecorder{first, third} {
		for name, lines := range answer.Header() {
			if strings.Contains(strings.Join(lines, ""), "MARKER") {
				t.Errorf("a token in %s", name)
			}
		}
	}
}

func TestWhereALogoutLeads(t *testing.T) {
	for name, row := range map[string]struct {
		prepare func(*world)
		option  func(*logout.Options)
		id      string
		want    string
	}{
		"with the hint":                   {want: "/bff/logout/continue", id: "a"},
		"RPL-07 without a session":        {want: direct},
		"RPL-07 session is over":          {want: direct, id: "b"},
		"policy forbids the hint":         {want: direct, id: "a", option: func(o *logout.Options) { o.IDTokenHint = v1alpha1.IDTokenHintNone }},
		"no ID token":                     {want: direct, id: "a", prepare: func(w *world) { w.sessions.alive["a"].Tokens.ID = "" }},
		"RPL-09, RPL-10 no such endpoint": {want: home, id: "a", prepare: func(w *world) { w.provider.noEndpoint = true }},
		"and without a session":           {want: home, prepare: func(w *world) { w.provider.noEndpoint = true }},
	} {
		t.Run(name, func(t *testing.T) {
			option := row.option
			if option == nil {
				option = func(*logout.Options) {}
			}
			w := newWorld(t, option)
			w.sessions.add("a", "alice", "S1")
			if row.prepare != nil {
				row.prepare(w)
			}
			answer := w.do(w.Logout, request(t, http.MethodPost, "/bff/logout", row.id, script))
			if got := logoutURL(t, answer); got != row.want {
				t.Errorf("logoutURL %q, want %q", got, row.want)
			}
			if row.id == "a" && w.sessions.ids() != "" {
				t.Error("the session lives")
			}
			if hasTicket := setCookies(answer)[ticketName] != nil; hasTicket != (row.want == "/bff/logout/continue") {
				t.Errorf("ticket: %t", hasTicket)
			}
			w.settle()
		})
	}
}

func TestLogoutByForm(t *testing.T) {
	w := newWorld(t)
	w.sessions.add("a", "alice", "S1")
	answer := w.do(w.Logout, request(t, http.MethodPost, "/bff/logout", "a", navigate))
	if answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != "/bff/logout/continue" {
		t.Errorf("%d to %q", answer.Code, answer.Header().Get("Location"))
	}
	w.settle()
}

// GAP-05: a link logs out if it knows the session's own sid.
func TestLogoutByLink(t *testing.T) {
	for name, row := range map[string]struct {
		query, id string
		headers   []string
		status    int
		location  string
		lives     bool
	}{
		"right":                    {"?sid=public-a", "a", navigate, 303, "/bff/logout/continue", false},
		"wrong":                    {"?sid=public-b", "a", navigate, 400, "", true},
		"missing":                  {"", "a", navigate, 400, "", true},
		"empty":                    {"?sid=", "a", navigate, 400, "", true},
		"twice":                    {"?sid=public-a&sid=public-a", "a", navigate, 400, "", true},
		"undecodable":              {"?sid=public-a&x=%zz", "a", navigate, 400, "", true},
		"fetched":                  {"?sid=public-a", "a", script, 400, "", true},
		"framed":                   {"?sid=public-a", "a", framed, 400, "", true},
		"RPL-07 without a session": {"?sid=public-a", "", navigate, 303, home, true},
		"RPL-07 session is over":   {"?sid=public-b", "b", navigate, 303, home, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.sessions.add("a", "alice", "S1")
			answer := w.do(w.Logout, request(t, http.MethodGet, "/bff/logout"+row.query, row.id, row.headers))
			if answer.Code != row.status || answer.Header().Get("Location") != row.location {
				t.Errorf("%d to %q, want %d to %q", answer.Code, answer.Header().Get("Location"), row.status, row.location)
			}
			if (w.sessions.ids() == "a") != row.lives {
				t.Errorf("alive: %q", w.sessions.ids())
			}
			if row.status == 400 && len(answer.Header()["Set-Cookie"]) != 0 {
				t.Error("a cookie was set")
			}
			w.settle()
		})
	}
}

// An outage of the store logs nobody out, and says so.
func TestLogoutWithoutStore(t *testing.T) {
	w := newWorld(t)
	w.sessions.add("a", "alice", "S1")
	w.sessions.down = errDown
	answer := w.do(w.Logout, request(t, http.MethodPost, "/bff/logout", "a", script))
	if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" || len(answer.Header()["Set-Cookie"]) != 0 {
		t.Errorf("%d %v", answer.Code, answer.Header())
	}
	page := w.do(w.Logout, request(t, http.MethodPost, "/bff/logout", "a", navigate))
	if page.Code != http.StatusServiceUnavailable || !strings.Contains(page.Body.String(), "<h1>You were not signed out</h1>") {
		t.Errorf("%d %s", page.Code, page.Body)
	}
	w.settle()
	if len(w.provider.revoked()) != 0 {
		t.Error("tokens of a living session were revoked")
	}
}

func TestLogoutMethods(t *testing.T) {
	w := newWorld(t)
	for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodDelete} {
		if answer := w.do(w.Logout, request(t, method, "/bff/logout", "", script)); answer.Code != 405 || answer.Header().Get("Allow") != "GET, POST" {
			t.Errorf("%s: %d", method, answer.Code)
		}
	}
	for _, method := range []string{http.MethodHead, http.MethodPost} {
		if answer := w.do(w.Continue, request(t, method, "/bff/logout/continue", "", navigate)); answer.Code != 405 || answer.Header().Get("Allow") != "GET" {
			t.Errorf("%s: %d", method, answer.Code)
		}
	}
}

// RPL-02: the ID token goes to the browser itself and to nobody who could read
// along.
func TestContinueKeepsTheIDTokenFromScripts(t *testing.T) {
	with := func(line string) []string { return append(append([]string{}, navigate...), line) }
	for name, row := range map[string]struct {
		headers  []string
		status   int
		location string
		spent    bool
	}{
		"navigation":                   {navigate, 200, "", true},
		"fetch":                        {script, 400, "", false},
		"frame":                        {framed, 400, "", false},
		"object":                       {with("Sec-Fetch-Dest: object"), 400, "", false},
		"through service worker":       {with("Sec-Fetch-Dest: empty"), 303, direct, true},
		"without destination":          {[]string{"Sec-Fetch-Mode: navigate"}, 303, direct, true},
		"preload for a service worker": {with("Service-Worker-Navigation-Preload: true"), 303, direct, true},
		"preload with an empty header": {with("Service-Worker-Navigation-Preload: "), 303, direct, true},
		"browser that does not say":    {[]string{"Accept: text/html"}, 303, direct, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.sessions.add("a", "alice", "S1")
			ticket := setCookies(w.do(w.Logout, request(t, http.MethodPost, "/bff/logout", "a", script)))[ticketName]
			answer := w.do(w.Continue, goOn(t, ticket, row.headers))
			if answer.Code != row.status || answer.Header().Get("Location") != row.location {
				t.Errorf("%d to %q, want %d to %q", answer.Code, answer.Header().Get("Location"), row.status, row.location)
			}
			if leaked := strings.Contains(answer.Body.String(), "MARKER"); leaked != (row.status == 200) {
				t.Errorf("the ID token is in the answer: %t", leaked)
			}
			if spent := len(w.sessions.parked) == 0; spent != row.spent {
				t.Errorf("the ticket is spent: %t", spent)
			}
			w.settle()
		})
	}
}

func TestContinue(t *testing.T) {
	ticket := &http.Cookie{Name: ticketName, Value: "ticket-1"}
	t.Run("without ticket", func(t *testing.T) {
		w := newWorld(t)
		answer := w.do(w.Continue, goOn(t, nil, navigate))
		if answer.Code != 303 || answer.Header().Get("Location") != home || len(answer.Header()["Set-Cookie"]) != 0 {
			t.Errorf("%d %v", answer.Code, answer.Header())
		}
	})
	t.Run("two tickets", func(t *testing.T) {
		w := newWorld(t)
		w.sessions.parked["ticket-1"] = []byte(hint)
		r := goOn(t, ticket, navigate)
		r.AddCookie(&http.Cookie{Name: ticketName, Value: "ticket-2"})
		if answer := w.do(w.Continue, r); answer.Code != 303 || answer.Header().Get("Location") != home {
			t.Errorf("%d %v", answer.Code, answer.Header())
		}
	})
	t.Run("store away", func(t *testing.T) {
		w := newWorld(t)
		w.sessions.parked["ticket-1"], w.sessions.down = []byte(hint), errDown
		answer := w.do(w.Continue, goOn(t, ticket, navigate))
		body := answer.Body.String()
		if answer.Code != 503 || !strings.Contains(body, `href="/bff/logout/continue"`) || !strings.Contains(body, "signed out of this site") || len(answer.Header()["Set-Cookie"]) != 0 {
			t.Errorf("%d %s", answer.Code, body)
		}
		w.sessions.down = nil
		if answer := w.do(w.Continue, goOn(t, ticket, navigate)); answer.Code != 200 {
			t.Errorf("again: %d", answer.Code)
		}
	})
	t.Run("RPL-10 provider gone meanwhile", func(t *testing.T) {
		w := newWorld(t)
		w.sessions.parked["ticket-1"], w.provider.noEndpoint = []byte(hint), true
		if answer := w.do(w.Continue, goOn(t, ticket, navigate)); answer.Code != 303 || answer.Header().Get("Location") != home {
			t.Errorf("%d %v", answer.Code, answer.Header())
		}
	})
}
