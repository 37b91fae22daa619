//go:build conformance

package conformance

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// problems has the sidecar answer with as many problems as can be had without
// breaking anything but the API.
func problems(w *world) []*ua.Response {
	w.Helper()
	w.Login()
	foreign := w.CallOf("GET", "/api/x")
	foreign.From = attackerURL + "/"
	flipped := w.CallOf("GET", "/api/x")
	flipped.Header.Set("Cookie", cookieName+"="+flip(w.Cookie()))
	answers := []*ua.Response{
		w.NewAgent().Fetch(w.CallOf("GET", "/api/x")), w.NewAgent().Fetch(flipped), w.UA.Fetch(foreign),
		w.UA.Fetch(ua.Call{URL: w.Shop("/api/x")}), w.UA.Fetch(ua.Call{URL: w.Shop("/bff/session")}),
		w.Call("POST", "/api/readonly/x"), w.Call("GET", "/bff/nothing"), w.Call("GET", "/bff/login"), w.Call("GET", "/api/%2e%2e/x"), w.Call("DELETE", "/bff/session"),
		w.Call("GET", "/bff/callback?state=x&code=y"),
	}
	w.RS.Answer(func(*rs.Request) rs.Reply { return rs.Reply{Raw: func(net.Conn, *bufio.Reader) {}} }) // hangs up
	answers = append(answers, w.Call("GET", "/api/broken"))
	return answers
}

func TestPROB_EveryErrorForScriptsIsAProblem(t *testing.T) {
	t.Parallel()
	covers(t, "PROB-01", "PROB-02", "PROB-03", "PROB-04", "PROB-06", "PROB-07", "PROB-09")
	w := newWorld(t)
	name := regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{2,}$`)
	titles, ids := map[string]string{}, map[string]bool{}
	for _, r := range problems(w) {
		p := w.WantProblem(r, r.Status)
		if r.Status < 400 || !strings.HasPrefix(p.Type, "https://") || !strings.HasSuffix(p.Type, "/"+p.Code) || p.Title == "" {
			t.Errorf("%s: type %q, title %q, code %q", r, p.Type, p.Title, p.Code)
		}
		if before, seen := titles[p.Type]; seen && before != p.Title {
			t.Errorf("%s is called %q and %q", p.Type, before, p.Title)
		}
		titles[p.Type] = p.Title
		if p.RequestID == "" || ids[p.RequestID] || r.Header.Get("X-Request-Id") != p.RequestID {
			t.Errorf("%s: requestID %q is missing, used before, or not the one of the header %q", r, p.RequestID, r.Header.Get("X-Request-Id"))
		}
		ids[p.RequestID] = true
		var members map[string]any
		if err := json.Unmarshal([]byte(r.Body), &members); err != nil {
			t.Errorf("%s: %v", r, err)
		}
		for member := range members {
			if !name.MatchString(member) {
				t.Errorf("%s has the member %q", r, member)
			}
		}
	}
	if len(titles) < 8 {
		t.Errorf("only %d types of problem were seen: %v", len(titles), titles)
	}
}

func TestPROB_08_EveryTypeIsDocumented(t *testing.T) {
	t.Parallel()
	covers(t, "PROB-08")
	page, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	for _, r := range problems(w) {
		p := w.WantProblem(r, r.Status)
		base := strings.TrimSuffix(p.Type, p.Code)
		// A row of the table begins with the code that ends the type, and says status
		// and title (RFC 9457 section 4).
		documented := slices.ContainsFunc(strings.Split(string(page), "\n"), func(line string) bool {
			return strings.HasPrefix(line, "| `"+p.Code+"` |") && strings.Contains(line, "| "+strconv.Itoa(p.Status)+" |") && strings.Contains(line, "| "+p.Title+" |")
		})
		if !documented || !strings.Contains(string(page), base) {
			t.Errorf("docs/errors.md does not define %s, %q with status %d", p.Type, p.Title, p.Status)
		}
	}
}

func TestPROB_01_AProblemIsOneWhateverIsAccepted(t *testing.T) {
	t.Parallel()
	covers(t, "PROB-01")
	w := newWorld(t)
	for _, accept := range []string{"application/json", "text/html", "image/png", "*/*", "application/json;q=0"} {
		call := w.CallOf("GET", "/api/x")
		call.Header.Set("Accept", accept)
		w.WantProblem(w.UA.Fetch(call), http.StatusUnauthorized, "no_session")
	}
}

func TestPROB_05_DetailsHelpAndTellNothing(t *testing.T) {
	t.Parallel()
	covers(t, "PROB-05")
	w := newWorld(t)
	answers := problems(w)
	w.RS.CloseConnections()
	w.AS.Change(func(b *as.Behaviour) {
		b.Answer = map[as.Endpoint]func(http.ResponseWriter, *http.Request) bool{as.Token: func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.WriteHeader(http.StatusBadRequest)
			_, _ = rw.Write([]byte(`{"error":"private_error","error_description":"private-description"}`)) // to our own test
			return true
		}}
	})
	answers = append(answers, w.LoginAt(w.NewAgent(), ""))
	for _, r := range answers {
		for _, told := range []string{"goroutine", ".go:", "panic", "127.0.0.1", w.AS.Address, w.RS.Address, w.AS.Issuer, "private", "dial tcp", "connection refused", "EOF", "redis", "/tmp", "malformed"} {
			if strings.Contains(r.Body, told) {
				t.Errorf("%s tells %q", r, told)
			}
		}
	}
}

func TestPROB_06_TheRequestIDLeadsToTheLog(t *testing.T) {
	t.Parallel()
	covers(t, "PROB-06")
	w := newWorld(t)
	page := w.UA.Navigate(w.Shop("/bff/callback?state=x&code=y"))
	id := page.Header.Get("X-Request-Id")
	if id == "" || !strings.Contains(page.Body, id) {
		t.Errorf("the page does not show the request's identifier %q:\n%s", id, page.Body)
	}
	w.Eventually("the log has the requestID "+id, func() bool {
		return slices.ContainsFunc(w.Replicas[0].Records(), func(record map[string]any) bool { return record["requestID"] == id })
	})
}

func TestPROB_10_TheAPIsProblemsPassUntouched(t *testing.T) {
	t.Parallel()
	covers(t, "PROB-10")
	const body = `{ "type":"https://api.example.test/out-of-credit", "title": "You do not have enough credit.",` + "\n" + `"status":403,"balance":30}` + "\n"
	w := newWorld(t, api(func(*rs.Request) rs.Reply {
		return rs.Reply{Status: http.StatusForbidden, Fields: rs.Fields("Content-Type", "application/problem+json"), Body: []byte(body)}
	}))
	w.Login()
	r := w.Call("GET", "/api/x")
	if r.Status != http.StatusForbidden || r.Body != body || r.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s with %v", r, r.Header)
	}
}

func TestPROB_11_BackChannelLogoutAnswersAsOAuthDoes(t *testing.T) {
	t.Parallel()
	covers(t, "PROB-11", "BCL-16")
	w := newWorld(t)
	response, body := w.BackChannel("not.a.token")
	var answer map[string]any
	if err := json.Unmarshal([]byte(body), &answer); err != nil || response.StatusCode != http.StatusBadRequest ||
		!strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") || answer["error"] == nil || answer["type"] != nil {
		t.Errorf("%s %s: %s, %v", response.Status, response.Header.Get("Content-Type"), body, err)
	}
}
