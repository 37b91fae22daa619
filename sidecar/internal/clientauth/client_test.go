package clientauth_test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
)

const longSecret = "correct horse battery staple 2026"

var endpoint = clientauth.Endpoint{Issuer: issuer, TokenEndpoint: tokenEndpoint}

// complete are credentials for every method.
func complete(t testing.TB) clientauth.Credentials {
	t.Helper()
	key := keys["P-256"]()
	return clientauth.Credentials{
		Secret:              secret.New(longSecret),
		PrivateKey:          must[*clientauth.SigningKey](t)(clientauth.ParseSigningKey(pkcs8(t, key), "key-1", "")),
		Certificate:         must[*tls.Certificate](t)(clientauth.ParseCertificate(certificate(t, key), pkcs8(t, key))),
		ServiceAccountToken: secret.New("header.payload.signature"),
	}
}

// OA-06, JWTA-01, MTLS-01: whatever credentials there are, the server sees those
// of one method, and nothing that was there of another.
func TestOneMethodPerRequest(t *testing.T) {
	for method, want := range map[v1alpha1.ClientAuthenticationMethod][]string{
		v1alpha1.ClientSecretBasic:       {},
		v1alpha1.ClientSecretPost:        {"client_id", "client_secret"},
		v1alpha1.ClientSecretJWT:         {"client_assertion", "client_assertion_type", "client_id"},
		v1alpha1.PrivateKeyJWT:           {"client_assertion", "client_assertion_type", "client_id"},
		v1alpha1.TLSClientAuth:           {"client_id"},
		v1alpha1.SelfSignedTLSClientAuth: {"client_id"},
		v1alpha1.WorkloadIdentity:        {"client_assertion", "client_assertion_type", "client_id"},
	} {
		for before, form := range map[string]url.Values{
			"nothing": {},
			"everything": {
				"client_secret": {"x", "y"}, "client_assertion": {"x"}, "client_assertion_type": {"x"},
			},
		} {
			t.Run(fmt.Sprintf("%s after %s", method, before), func(t *testing.T) {
				header := http.Header{}
				if before != "nothing" {
					header["Authorization"] = []string{"Basic eDp5", "Bearer z"}
				}
				form := maps.Clone(form)
				form.Set("grant_type", "refresh_token")
				client := clientauth.Client{ID: "shop", Method: method}
				if err := client.Authenticate(complete(t), endpoint, noon, form, header); err != nil {
					t.Fatal(err)
				}
				if form.Get("grant_type") != "refresh_token" {
					t.Error("the rest of the form is gone")
				}
				form.Del("grant_type")
				if got := slices.Sorted(maps.Keys(form)); !slices.Equal(got, want) {
					t.Errorf("the form has %q, want %q", got, want)
				}
				for name, values := range form {
					if len(values) != 1 {
						t.Errorf("%s: %d times", name, len(values))
					}
				}
				if basic := method == v1alpha1.ClientSecretBasic; len(header["Authorization"]) > 1 || basic != (header.Get("Authorization") != "") {
					t.Errorf("the header has %q", header["Authorization"])
				}
				if id := form.Get("client_id"); id != "" && id != "shop" {
					t.Errorf("client_id %q", id)
				}
			})
		}
	}
}

// OA-06: both parts are form-encoded before they are joined, so that a colon and
// any other character arrive.
func TestBasic(t *testing.T) {
	for name, tc := range map[string]struct{ id, secret, want string }{
		"plain":    {"shop", "hunter2", "shop:hunter2"},
		"RFC 6749": {"s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw", "s6BhdRkqt3:7Fjfp0ZBr1KtDRbnfVdmIw"},
		"special":  {"https://shop.example:1", ":+%&é ", "https%3A%2F%2Fshop.example%3A1:%3A%2B%25%26%C3%A9+"},
	} {
		t.Run(name, func(t *testing.T) {
			client := clientauth.Client{ID: tc.id, Method: v1alpha1.ClientSecretBasic}
			r := &http.Request{Header: http.Header{}}
			if err := client.Authenticate(clientauth.Credentials{Secret: secret.New(tc.secret)}, endpoint, noon, url.Values{}, r.Header); err != nil {
				t.Fatal(err)
			}
			sent, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Basic ")
			if got := must[[]byte](t)(base64.StdEncoding.DecodeString(sent)); string(got) != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
			user, password, _ := r.BasicAuth()
			id, err1 := url.QueryUnescape(user)
			word, err2 := url.QueryUnescape(password)
			if err := errors.Join(err1, err2); err != nil || id != tc.id || word != tc.secret {
				t.Errorf("the server reads %q, %q, %v", id, word, err)
			}
		})
	}
}

// PAR-01: a pushed authorization request holds client_id as a parameter of its
// own, also with Basic.
func TestBasicLeavesTheClientID(t *testing.T) {
	form := url.Values{"client_id": {"shop"}}
	client := clientauth.Client{ID: "shop", Method: v1alpha1.ClientSecretBasic}
	if err := client.Authenticate(complete(t), endpoint, noon, form, http.Header{}); err != nil {
		t.Fatal(err)
	}
	if form.Get("client_id") != "shop" {
		t.Error("client_id is gone")
	}
}

func TestPostSendsTheSecretAsItIs(t *testing.T) {
	const special = ":+%&é "
	form := url.Values{}
	client := clientauth.Client{ID: "shop", Method: v1alpha1.ClientSecretPost}
	if err := client.Authenticate(clientauth.Credentials{Secret: secret.New(special)}, endpoint, noon, form, http.Header{}); err != nil {
		t.Fatal(err)
	}
	if sent := must[url.Values](t)(url.ParseQuery(form.Encode())); sent.Get("client_secret") != special || sent.Get("client_id") != "shop" {
		t.Errorf("%v", sent)
	}
}

// A method without what it needs fails by itself: nothing of another method is
// used in its place, and the error names what is missing and no secret.
func TestNoCredentials(t *testing.T) {
	for method, without := range map[v1alpha1.ClientAuthenticationMethod]func(*clientauth.Credentials){
		v1alpha1.ClientSecretBasic:       func(c *clientauth.Credentials) { c.Secret = secret.String{} },
		v1alpha1.ClientSecretPost:        func(c *clientauth.Credentials) { c.Secret = secret.String{} },
		v1alpha1.ClientSecretJWT:         func(c *clientauth.Credentials) { c.Secret = secret.String{} },
		v1alpha1.PrivateKeyJWT:           func(c *clientauth.Credentials) { c.PrivateKey = nil },
		v1alpha1.TLSClientAuth:           func(c *clientauth.Credentials) { c.Certificate = nil },
		v1alpha1.SelfSignedTLSClientAuth: func(c *clientauth.Credentials) { c.Certificate = nil },
		v1alpha1.WorkloadIdentity:        func(c *clientauth.Credentials) { c.ServiceAccountToken = secret.String{} },
	} {
		t.Run(string(method), func(t *testing.T) {
			credentials := complete(t)
			without(&credentials)
			refused(t, clientauth.Client{ID: "shop", Method: method}, credentials, endpoint, clientauth.ErrNoCredentials)
		})
	}
}

// FAPI-19, RFC 7518 section 3.2: a secret too short for HS256 signs nothing.
func TestShortSecretSignsNothing(t *testing.T) {
	credentials := clientauth.Credentials{Secret: secret.New("hunter2hunter2hunter2hunter2hun")}
	refused(t, clientauth.Client{ID: "shop", Method: v1alpha1.ClientSecretJWT}, credentials, endpoint, clientauth.ErrNoCredentials)
}

func TestUnknownMethod(t *testing.T) {
	for _, method := range []v1alpha1.ClientAuthenticationMethod{"", "none", "Client_Secret_Basic"} {
		refused(t, clientauth.Client{ID: "shop", Method: method}, complete(t), endpoint, clientauth.ErrMethod)
	}
}

// JWTA-03: an assertion for nobody in particular is not made.
func TestAssertionNeedsAnAudience(t *testing.T) {
	client := clientauth.Client{ID: "shop", Method: v1alpha1.PrivateKeyJWT}
	refused(t, client, complete(t), clientauth.Endpoint{TokenEndpoint: tokenEndpoint}, clientauth.ErrAudience)
	client.AssertionAudience = v1alpha1.AudienceTokenEndpoint
	refused(t, client, complete(t), clientauth.Endpoint{Issuer: issuer}, clientauth.ErrAudience)
}

func refused(t *testing.T, client clientauth.Client, credentials clientauth.Credentials, at clientauth.Endpoint, want error) {
	t.Helper()
	form, header := url.Values{}, http.Header{}
	err := client.Authenticate(credentials, at, noon, form, header)
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	if len(form) != 0 || len(header) != 0 {
		t.Errorf("the request has %v, %v", form, header)
	}
	for _, word := range []string{longSecret, "hunter2", "payload"} {
		if strings.Contains(err.Error(), word) {
			t.Errorf("the error quotes a secret: %v", err)
		}
	}
}

func TestUsesTLS(t *testing.T) {
	for method, want := range map[v1alpha1.ClientAuthenticationMethod]bool{
		v1alpha1.TLSClientAuth: true, v1alpha1.SelfSignedTLSClientAuth: true, v1alpha1.ClientSecretBasic: false,
		v1alpha1.PrivateKeyJWT: false, v1alpha1.WorkloadIdentity: false, "": false,
	} {
		if got := (clientauth.Client{Method: method}).UsesTLS(); got != want {
			t.Errorf("%q: %v", method, got)
		}
	}
}

// GAP-09: whatever prints credentials prints nothing of them.
func TestNothingPrintsCredentials(t *testing.T) {
	credentials := complete(t)
	der := strings.Join(strings.Split(string(pkcs8(t, keys["P-256"]())), "\n")[1:3], "")
	scalar := must[[]byte](t)(base64.StdEncoding.DecodeString(strings.TrimSpace(der)[:64]))[36:40] // within the private key
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&out, verb+verb+verb+verb, credentials, &credentials, credentials.PrivateKey, *credentials.PrivateKey)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "a", credentials, "b", credentials.PrivateKey)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "a", credentials, "b", *credentials.PrivateKey)
	if err := json.NewEncoder(&out).Encode(map[string]any{"a": credentials, "b": credentials.PrivateKey}); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{longSecret, "payload", fmt.Sprintf("%x", scalar), strings.Trim(fmt.Sprint(scalar), "[]"), "Certificate", `"D"`} {
		if strings.Contains(out.String(), word) {
			t.Errorf("%q was printed: %s", word, out.String())
		}
	}
}
