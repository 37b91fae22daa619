package browser

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/hack/demo/idp"
	"github.com/bff-operator/bff-operator/hack/demo/idp/idptest"
)

// application is a client of a real provider, by the authorization code flow.
func application(t *testing.T) (app *httptest.Server, who Person) {
	t.Helper()
	mux := http.NewServeMux()
	app = httptest.NewServer(mux)
	t.Cleanup(app.Close)
	callback := app.URL + "/callback"
	provider := idptest.Start(t, idp.Config{Clients: []idp.Client{{ID: "app", Secret: "secret", RedirectURIs: []string{callback}}}})
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, provider.Issuer+"/authorize?client_id=app&response_type=code&scope=openid&state=s&redirect_uri="+callback+
			"&code_challenge_method=S256&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", http.StatusSeeOther)
	})
	mux.HandleFunc("/callback", func(w http.ResponseWriter, r *http.Request) {
		request, _ := http.NewRequestWithContext(r.Context(), http.MethodPost, provider.Issuer+"/token", strings.NewReader(
			"grant_type=authorization_code&code="+r.FormValue("code")+"&redirect_uri="+callback+"&code_verifier="+verifier))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth("app", "secret")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		var token struct {
			AccessToken string `json:"access_token"`
		}
		if json.NewDecoder(response.Body).Decode(&token) != nil || token.AccessToken == "" {
			http.Error(w, "no token", http.StatusBadGateway)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "__Host-session", Value: "v", Path: "/", Secure: true})
		http.SetCookie(w, &http.Cookie{Name: "elsewhere", Value: "v", Path: "/other"})
		http.Redirect(w, r, "/home", http.StatusSeeOther)
	})
	mux.HandleFunc("/home", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/around", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/around", http.StatusFound) })
	return app, Person{Issuer: provider.Issuer, Username: "alice", Password: "alice-demo-pw"}
}

func TestLoginReturnsTheCookiesOfTheTarget(t *testing.T) {
	app, who := application(t)
	got, err := Login(t.Context(), app.URL+"/login", app.URL+"/api", who)
	if err != nil || got != "__Host-session=v" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestLoginFails(t *testing.T) {
	app, who := application(t)
	for name, test := range map[string]struct {
		path   string
		change func(*Person)
	}{
		"with a wrong password":    {"/login", func(p *Person) { p.Password = "wrong" }},
		"where no cookie is set":   {"/home", func(*Person) {}},
		"where nothing is":         {"/nowhere", func(*Person) {}},
		"in a circle of redirects": {"/around", func(*Person) {}},
	} {
		t.Run(name, func(t *testing.T) {
			person := who
			test.change(&person)
			if got, err := Login(context.Background(), app.URL+test.path, app.URL+"/api", person); err == nil {
				t.Errorf("got %q", got)
			}
		})
	}
}
