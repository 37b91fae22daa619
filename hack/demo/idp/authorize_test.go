package idp

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// OpenID Connect Core sections 3.1.2.1 and 3.1.2.3.
func TestDecideInteraction(t *testing.T) {
	now := newClock().now()
	alice := session{sid: "1", subject: "alice", authTime: now.Add(-time.Minute)}
	age := func(seconds uint) *uint { return &seconds }
	for name, test := range map[string]struct {
		prompt   string
		maxAge   *uint
		hinted   string
		loggedIn bool
		want     interaction
		failure  bool
	}{
		"nobody is logged in":                {want: loginNeeded},
		"somebody is logged in":              {loggedIn: true, want: nothingNeeded},
		"prompt=none, nobody":                {prompt: "none", failure: true},
		"prompt=none, somebody":              {prompt: "none", loggedIn: true, want: nothingNeeded},
		"prompt=login asks again":            {prompt: "login", loggedIn: true, want: loginNeeded},
		"prompt=select_account asks again":   {prompt: "select_account", loggedIn: true, want: loginNeeded},
		"prompt=consent is never needed":     {prompt: "consent", loggedIn: true, want: nothingNeeded},
		"recent enough":                      {maxAge: age(60), loggedIn: true, want: nothingNeeded},
		"too long ago":                       {maxAge: age(59), loggedIn: true, want: loginNeeded},
		"too long ago and prompt=none":       {maxAge: age(59), prompt: "none", loggedIn: true, failure: true},
		"max_age=0":                          {maxAge: age(0), loggedIn: true, want: loginNeeded},
		"an absurd max_age":                  {maxAge: age(^uint(0)), loggedIn: true, want: nothingNeeded},
		"hint names the user":                {hinted: "alice", loggedIn: true, want: nothingNeeded},
		"hint names another":                 {hinted: "bob", loggedIn: true, want: loginNeeded},
		"hint names another and prompt=none": {hinted: "bob", prompt: "none", loggedIn: true, failure: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, failure := decideInteraction(strings.Fields(test.prompt), test.maxAge, test.hinted, alice, test.loggedIn, now)
			if got != test.want || (failure != nil) != test.failure {
				t.Errorf("got %v, %v", got, failure)
			}
			if failure != nil && failure.ErrorType != oidc.LoginRequired {
				t.Errorf("error %q, want login_required", failure.ErrorType)
			}
		})
	}
}

func goodRequest() url.Values {
	return url.Values{
		"client_id": {"shop"}, "redirect_uri": {"http://localhost:8080/bff/callback"}, "response_type": {"code"}, "scope": {"openid"},
		"state": {"s-1"}, "code_challenge": {strings.Repeat("a", 43)}, "code_challenge_method": {"S256"},
	}
}

func serve(t *testing.T, p *Provider, r *http.Request) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result()
}

func get(t *testing.T, p *Provider, target string) *http.Response {
	t.Helper()
	return serve(t, p, httptest.NewRequest(http.MethodGet, target, nil))
}

func TestAuthorizationRequest(t *testing.T) {
	for name, test := range map[string]struct {
		change func(url.Values)
		want   string // error code at the redirect URI, "login" for the login page, "page" for an error page
	}{
		"is right":                              {func(url.Values) {}, "login"},
		"has no PKCE":                           {func(q url.Values) { q.Del("code_challenge") }, "invalid_request"},
		"has plain PKCE":                        {func(q url.Values) { q.Set("code_challenge_method", "plain") }, "invalid_request"},
		"has PKCE without a method":             {func(q url.Values) { q.Del("code_challenge_method") }, "invalid_request"},
		"has a short challenge":                 {func(q url.Values) { q.Set("code_challenge", "x") }, "invalid_request"},
		"wants a token":                         {func(q url.Values) { q.Set("response_type", "id_token token") }, "unsupported_response_type"},
		"wants nothing":                         {func(q url.Values) { q.Del("response_type") }, "invalid_request"},
		"wants a fragment":                      {func(q url.Values) { q.Set("response_mode", "fragment") }, "invalid_request"},
		"has a request object":                  {func(q url.Values) { q.Set("request", "x.y.z") }, "request_not_supported"},
		"has no openid scope":                   {func(q url.Values) { q.Set("scope", "profile") }, "invalid_scope"},
		"has no scope":                          {func(q url.Values) { q.Del("scope") }, "invalid_scope"},
		"has a forged id_token_hint":            {func(q url.Values) { q.Set("id_token_hint", "x.y.z") }, "login_required"},
		"mixes prompt=none":                     {func(q url.Values) { q.Set("prompt", "none login") }, "invalid_request"},
		"is of a stranger":                      {func(q url.Values) { q.Set("client_id", "stranger") }, "page"},
		"has no redirect URI":                   {func(q url.Values) { q.Del("redirect_uri") }, "page"},
		"has a redirect URI with more path":     {func(q url.Values) { q.Set("redirect_uri", q.Get("redirect_uri")+"/x") }, "page"},
		"has a redirect URI with a query":       {func(q url.Values) { q.Set("redirect_uri", q.Get("redirect_uri")+"?x") }, "page"},
		"has a redirect URI in another case":    {func(q url.Values) { q.Set("redirect_uri", "http://LOCALHOST:8080/bff/callback") }, "page"},
		"has a redirect URI of somebody else":   {func(q url.Values) { q.Set("redirect_uri", "https://evil.example/") }, "page"},
		"has a stranger's URI and other faults": {func(q url.Values) { q.Set("redirect_uri", "https://evil.example/"); q.Del("scope") }, "page"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := New(testConfig())
			if err != nil {
				t.Fatal(err)
			}
			q := goodRequest()
			test.change(q)
			response := get(t, p, "/authorize?"+q.Encode())
			location := response.Header.Get("Location")
			u, _ := url.Parse(location)
			switch test.want {
			case "page":
				if response.StatusCode != http.StatusBadRequest || location != "" {
					t.Errorf("status %d, Location %q; want an error page", response.StatusCode, location)
				}
			case "login":
				if response.StatusCode != http.StatusSeeOther || !strings.HasPrefix(location, "/login?request=") {
					t.Errorf("status %d, Location %q; want the login page", response.StatusCode, location)
				}
			default:
				got := u.Query()
				if got.Get("error") != test.want || got.Get("state") != "s-1" || got.Get("iss") != "http://id.localhost:8090" || got.Has("code") {
					t.Errorf("Location %q; want error=%s with our state and iss (RFC 9207 section 2.4)", location, test.want)
				}
				if !strings.HasPrefix(location, "http://localhost:8080/bff/callback?") {
					t.Errorf("Location %q is not the redirect URI", location)
				}
			}
		})
	}
}

func TestDiscoveryNamesOnlyWhatIsThere(t *testing.T) {
	p, err := New(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	body := text(t, get(t, p, "/.well-known/openid-configuration"))
	for _, absent := range []string{"implicit", "introspection", "device", "jwt-bearer", "private_key_jwt", `"none"`, "plain", "registration"} {
		if strings.Contains(body, absent) {
			t.Errorf("the document mentions %q, which is not offered", absent)
		}
	}
	for _, path := range []string{"/oauth/introspect", "/device_authorization", "/authorize/callback", "/oauth/token"} {
		if got := get(t, p, path).StatusCode; got != http.StatusNotFound {
			t.Errorf("%s answers %d: a route of the library is exposed", path, got)
		}
	}
}
