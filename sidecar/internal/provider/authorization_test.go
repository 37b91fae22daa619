package provider_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
)

const verifier = "a-verifier-of-forty-three-characters-or-more"

// requested is what is in an authorization URL.
func requested(t *testing.T, client *provider.Client, p provider.Parameters) url.Values {
	t.Helper()
	target, err := client.AuthorizationURL(t.Context(), provider.AuthorizationRequest{
		State: "the-state", Nonce: "the-nonce", CodeVerifier: verifier, Parameters: p})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(target)
	if err != nil || u.Path != "/authorize" {
		t.Fatalf("the request goes to %s", target)
	}
	return u.Query()
}

// plain are the parameters of every request.
func plain() url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {"shop"}, "redirect_uri": {redirectURL}, "scope": {"openid profile offline_access"},
		"state": {"the-state"}, "nonce": {"the-nonce"}, "prompt": {"consent"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}
}

// BFF-02, SEC-08, SEC-09, OA-03, OIDC-01: what is in an authorization request,
// and that nothing else is.
func TestAuthorizationRequest(t *testing.T) {
	hour, minute := time.Hour, time.Minute
	for name, row := range map[string]struct {
		config     func(*provider.Config)
		metadata   func(map[string]any)
		parameters provider.Parameters
		want       url.Values // beyond plain, or in its place; nil: left out
	}{
		"nothing special": {},
		"OIDC-03 form_post": {
			config: func(c *provider.Config) { c.Provider.ResponseMode = v1alpha1.ResponseModeFormPost },
			want:   url.Values{"response_mode": {"form_post"}}},
		"the policy's own parameters": {
			config: func(c *provider.Config) {
				c.Provider.AuthorizationParameters = []v1alpha1.AuthorizationParameter{{Name: "access_type", Value: "offline"}, {Name: "prompt", Value: "select_account"}}
			},
			want: url.Values{"access_type": {"offline"}, "prompt": {"select_account"}}},
		"OA-03 the policy's own parameters are in nobody's way": {
			config: func(c *provider.Config) {
				c.Provider.AuthorizationParameters = []v1alpha1.AuthorizationParameter{{Name: "state", Value: "x"}, {Name: "prompt", Value: "login"}}
			},
			parameters: provider.Parameters{Prompt: "none"}, want: url.Values{"prompt": {"none"}}},
		"OIDC-03 query": {config: func(c *provider.Config) { c.Provider.ResponseMode = v1alpha1.ResponseModeQuery }},
		"RES-03 resources": {
			config: func(c *provider.Config) {
				c.Provider.Resources = []string{"https://a.example.com/", "https://b.example.com/"}
			},
			want: url.Values{"resource": {"https://a.example.com/", "https://b.example.com/"}}},
		"OIDC-15 no offline_access": {
			config: func(c *provider.Config) { c.Provider.Scopes = []string{"openid"} },
			want:   url.Values{"prompt": nil, "scope": {"openid"}}},
		"OIDC-15 the page's prompt":      {parameters: provider.Parameters{Prompt: "none"}, want: url.Values{"prompt": {"none"}}},
		"OIDC-15 the page's and consent": {parameters: provider.Parameters{Prompt: "login"}, want: url.Values{"prompt": {"login consent"}}},
		"OIDC-15 consent is advertised":  {metadata: func(m map[string]any) { m["prompt_values_supported"] = []string{"none", "consent"} }},
		"OIDC-15 consent is not known":   {metadata: func(m map[string]any) { m["prompt_values_supported"] = []string{"none", "login"} }, want: url.Values{"prompt": nil}},
		"the page's hint and languages":  {parameters: provider.Parameters{LoginHint: "a&b", UILocales: "de fr"}, want: url.Values{"login_hint": {"a&b"}, "ui_locales": {"de fr"}}},
		"the policy's acr and age":       {config: func(c *provider.Config) { c.ACRValues, c.MaxAge = []string{"gold", "silver"}, &hour }, want: url.Values{"acr_values": {"gold silver"}, "max_age": {"3600"}}},
		"STEP-01 the page's acr and age": {parameters: provider.Parameters{ACRValues: []string{"gold"}, MaxAge: new(time.Duration)}, want: url.Values{"acr_values": {"gold"}, "max_age": {"0"}}},
		"both": {
			config:     func(c *provider.Config) { c.ACRValues, c.MaxAge = []string{"gold", "silver"}, &minute },
			parameters: provider.Parameters{ACRValues: []string{"gold"}, MaxAge: &hour},
			want:       url.Values{"acr_values": {"gold"}, "max_age": {"60"}}},
		"a query at the endpoint": {
			metadata: func(m map[string]any) {
				m["authorization_endpoint"] = m["issuer"].(string) + "/authorize?tenant=1&scope=x"
			},
			want: url.Values{"tenant": {"1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, providertest.Behaviour{Metadata: row.metadata})
			got, want := requested(t, clientOf(server, row.config), row.parameters), plain()
			for parameter, values := range row.want {
				if want[parameter] = values; values == nil {
					delete(want, parameter)
				}
			}
			if got.Encode() != want.Encode() {
				t.Errorf("the request is\n%s\nwant\n%s", got.Encode(), want.Encode())
			}
		})
	}
}

// ISS-05, OIDC-15: what the provider says of itself.
func TestAdvertised(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{Metadata: func(m map[string]any) {
		m["prompt_values_supported"], m["acr_values_supported"], m["ui_locales_supported"] = []string{"none"}, []string{"gold"}, []string{"de"}
	}})
	got, err := provider.New(configFor(server)).Advertised(t.Context())
	if err != nil || !got.ResponseIssuer || !slices.Equal(got.PromptValues, []string{"none"}) ||
		!slices.Equal(got.ACRValues, []string{"gold"}) || !slices.Equal(got.UILocales, []string{"de"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	server = providertest.Start(t, providertest.Behaviour{Metadata: func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") }})
	if got, err := provider.New(configFor(server)).Advertised(t.Context()); err != nil || got.ResponseIssuer {
		t.Errorf("got %+v, %v", got, err)
	}
}

// PAR-01 to PAR-06, FAPI-17: the parameters are pushed with the client's
// authentication, and the browser carries two parameters that work once.
func TestPushedAuthorizationRequest(t *testing.T) {
	for _, mode := range []v1alpha1.PushedAuthorizationRequests{v1alpha1.PushAuto, v1alpha1.PushRequired} {
		t.Run(string(mode), func(t *testing.T) {
			server := providertest.Start(t, providertest.Behaviour{RequirePAR: true})
			client := clientOf(server, func(c *provider.Config) { c.Provider.PushedAuthorizationRequests = mode })
			got := requested(t, client, provider.Parameters{})
			if len(got) != 2 || got.Get("client_id") != "shop" || !strings.HasPrefix(got.Get("request_uri"), providertest.MarkerRequest) {
				t.Errorf("the browser carries %v", got)
			}
			pushed := server.Requests()[0]
			if pushed.Path != "/par" || !pushed.Authenticated || pushed.Form.Encode() != plain().Encode() {
				t.Errorf("%s, authenticated %t: %v", pushed.Path, pushed.Authenticated, pushed.Form)
			}
			if _, err := login(t, server, client); err != nil {
				t.Error(err)
			}
			if again := requested(t, client, provider.Parameters{}); again.Get("request_uri") == got.Get("request_uri") {
				t.Error("a request_uri was used twice") // PAR-05
			}
		})
	}
}

// PAR-07, PAR-09: what happens when pushing does not work. The parameters go
// with the browser only if neither side has asked for more.
func TestPushFailures(t *testing.T) {
	refuse := func(status int, code string) func(http.ResponseWriter, *http.Request) bool {
		return serve("/par", func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "7")
			providertest.Fail(w, status, code)
		}).Serve
	}
	for name, row := range map[string]struct {
		b    providertest.Behaviour
		mode v1alpha1.PushedAuthorizationRequests
		want provider.Reason // "": plain
	}{
		"Auto, no endpoint":                    {mode: v1alpha1.PushAuto},
		"Disabled":                             {b: providertest.Behaviour{PAR: true}, mode: v1alpha1.PushDisabled},
		"Auto, not for this client":            {b: providertest.Behaviour{PAR: true, Serve: refuse(403, "access_denied")}, mode: v1alpha1.PushAuto},
		"Auto, 404":                            {b: providertest.Behaviour{PAR: true, Serve: refuse(404, "")}, mode: v1alpha1.PushAuto},
		"Auto, no request_uri":                 {b: providertest.Behaviour{PAR: true, Serve: refuse(201, "")}, mode: v1alpha1.PushAuto},
		"Auto, 503":                            {b: providertest.Behaviour{PAR: true, Serve: refuse(503, "")}, mode: v1alpha1.PushAuto, want: provider.ReasonStatus},
		"Auto, 429":                            {b: providertest.Behaviour{PAR: true, Serve: refuse(429, "")}, mode: v1alpha1.PushAuto, want: provider.ReasonStatus},
		"Auto, the provider demands it, 400":   {b: providertest.Behaviour{RequirePAR: true, Serve: refuse(400, "invalid_request")}, mode: v1alpha1.PushAuto, want: provider.ReasonPushRefused},
		"Auto, the provider demands it, 405":   {b: providertest.Behaviour{RequirePAR: true, Serve: refuse(405, "")}, mode: v1alpha1.PushAuto, want: provider.ReasonPushRefused},
		"Required, 400":                        {b: providertest.Behaviour{PAR: true, Serve: refuse(400, "invalid_request")}, mode: v1alpha1.PushRequired, want: provider.ReasonPushRefused},
		"Required, 413":                        {b: providertest.Behaviour{PAR: true, Serve: refuse(413, "")}, mode: v1alpha1.PushRequired, want: provider.ReasonPushRefused},
		"Required, 401":                        {b: providertest.Behaviour{PAR: true, Serve: refuse(401, "invalid_client")}, mode: v1alpha1.PushRequired, want: provider.ReasonClientRefused},
		"Required, 200":                        {b: providertest.Behaviour{PAR: true, Serve: refuse(200, "")}, mode: v1alpha1.PushRequired, want: provider.ReasonPushRefused},
		"Required, no request_uri":             {b: providertest.Behaviour{PAR: true, Serve: refuse(201, "")}, mode: v1alpha1.PushRequired, want: provider.ReasonPushResponse},
		"Required, no endpoint":                {mode: v1alpha1.PushRequired, want: provider.ReasonPushMissing},
		"Disabled, the provider demands it":    {b: providertest.Behaviour{RequirePAR: true}, mode: v1alpha1.PushDisabled, want: provider.ReasonPushMissing},
		"Required, the answer is cut short":    {b: providertest.Behaviour{PAR: true, Serve: serve("/par", cutShort).Serve}, mode: v1alpha1.PushRequired, want: provider.ReasonUnreachable},
		"Auto, a resource nobody gives":        {b: providertest.Behaviour{PAR: true, Serve: refuse(400, "invalid_target")}, mode: v1alpha1.PushAuto},
		"Required, a redirect is not followed": {b: providertest.Behaviour{PAR: true, Serve: serve("/par", redirectTo("https://evil.example.com/")).Serve}, mode: v1alpha1.PushRequired, want: provider.ReasonPushRefused},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, row.b)
			client := clientOf(server, func(c *provider.Config) { c.Provider.PushedAuthorizationRequests = row.mode })
			target, err := client.AuthorizationURL(t.Context(), provider.AuthorizationRequest{State: "s", Nonce: "n", CodeVerifier: verifier})
			if row.want == "" {
				if err != nil || !strings.Contains(target, "code_challenge=") {
					t.Errorf("URL %s, error %v", target, err)
				}
				return
			}
			wantFailure(t, err, row.want)
			if row.want == provider.ReasonStatus && provider.RetryAfter(err) != 7*time.Second {
				t.Errorf("wait %v", provider.RetryAfter(err))
			}
			if target != "" {
				t.Errorf("URL %s", target)
			}
		})
	}
}

// RFC 9101: the request is signed, and with PAR it goes into the pushed body.
func TestSignedRequest(t *testing.T) {
	for name, b := range map[string]providertest.Behaviour{"with the browser": {}, "pushed": {RequirePAR: true}} {
		t.Run(name, func(t *testing.T) {
			key := ellipticKey(t)
			credentials := clientauth.Credentials{Secret: secret.New(providertest.ClientSecret), PrivateKey: signingKey(t, key)}
			server := providertest.Start(t, b)
			server.RegisterKey(key.Public())
			client := clientOf(server, func(c *provider.Config) {
				c.Credentials = func() clientauth.Credentials { return credentials }
				c.Provider.RequestObject = v1alpha1.RequestObjectSigned
				c.Provider.Resources = []string{"https://a.example.com/", "https://b.example.com/"}
			})
			age := time.Hour
			if _, err := loginWith(t, server, client, provider.Parameters{MaxAge: &age}); err != nil {
				t.Fatal(err)
			}
			got := server.AuthorizationRequests()[0]
			if got.Query.Has("state") || got.Query.Has("nonce") || got.Query.Has("code_challenge") {
				t.Errorf("the browser carries %v", got.Query)
			}
			if p := got.Parameters; p.Get("max_age") != "3600" || len(p["resource"]) != 2 || p.Get("redirect_uri") != redirectURL || p.Get("state") == "" {
				t.Errorf("the request object says %v", p)
			}
			if b.RequirePAR {
				if form := server.Requests()[0].Form; len(form) != 4 || !form.Has("request") || form.Has("state") {
					t.Errorf("pushed %d parameters", len(form))
				}
			}
		})
	}
}

func TestSignedRequestThatCannotBe(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	signed := func(c *provider.Config) { c.Provider.RequestObject = v1alpha1.RequestObjectSigned }
	_, err := clientOf(server, signed).AuthorizationURL(t.Context(), provider.AuthorizationRequest{})
	wantFailure(t, err, provider.ReasonCredentials)

	demanding := providertest.Start(t, providertest.Behaviour{Metadata: func(m map[string]any) { m["require_signed_request_object"] = true }})
	_, err = clientOf(demanding, nil).AuthorizationURL(t.Context(), provider.AuthorizationRequest{})
	wantFailure(t, err, provider.ReasonRequestObject)
	if !strings.Contains(err.Error(), "requestObject") {
		t.Errorf("the error does not say what to write: %v", err)
	}
}

// IDT-12, IDT-13, STEP-05: a login is what the policy and the page ask for.
func TestRequestedAuthentication(t *testing.T) {
	hour := time.Hour
	for name, row := range map[string]struct {
		claims     func(map[string]any)
		config     func(*provider.Config)
		parameters provider.Parameters
		want       provider.Reason
	}{
		"acr as asked for":  {parameters: provider.Parameters{ACRValues: []string{"gold"}}},
		"lower acr":         {claims: func(c map[string]any) { c["acr"] = "bronze" }, parameters: provider.Parameters{ACRValues: []string{"gold"}}, want: provider.ReasonACR},
		"lower than policy": {claims: func(c map[string]any) { c["acr"] = "bronze" }, config: func(c *provider.Config) { c.ACRValues = []string{"gold"} }, want: provider.ReasonACR},
		"a page that asks for less than the policy": {
			config: func(c *provider.Config) { c.ACRValues = []string{"gold"} }, parameters: provider.Parameters{ACRValues: []string{"bronze"}}, want: provider.ReasonACR},
		"fresh":        {parameters: provider.Parameters{MaxAge: new(time.Duration)}},
		"stale":        {claims: func(c map[string]any) { c["auth_time"] = time.Now().Add(-2 * time.Hour).Unix() }, config: func(c *provider.Config) { c.MaxAge = &hour }, want: provider.ReasonAuthTime},
		"no auth_time": {claims: func(c map[string]any) { delete(c, "auth_time") }, parameters: provider.Parameters{MaxAge: &hour}, want: provider.ReasonAuthTime},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, providertest.Behaviour{Claims: row.claims})
			got, err := loginWith(t, server, clientOf(server, row.config), row.parameters)
			if row.want != "" {
				wantFailure(t, err, row.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(row.parameters.ACRValues) > 0 && got.ACR != row.parameters.ACRValues[0] || got.AuthTime.IsZero() {
				t.Errorf("acr %q, auth_time %v", got.ACR, got.AuthTime)
			}
		})
	}
}
