//go:build conformance

package conformance

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/pki"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
)

// issuerPath gives the issuer a path.
func issuerPath(path string) option { return func(s *setup) { s.provider.Path = path } }

// calling has the provider call itself something else, in its metadata.
func calling(change func(issuer string) any) option {
	return behaviour(func(b *as.Behaviour) {
		b.Metadata = func(m map[string]any) { m["issuer"] = change(m["issuer"].(string)) }
	})
}

// WantNothingUsed checks that a login is refused, and nothing of the metadata was
// used.
func (w *world) WantNothingUsed() {
	w.Helper()
	w.WantNoLogin(w.LoginAt(w.UA, ""))
	if len(w.AS.Requests(as.Discovery)) == 0 {
		w.Error("the metadata were not read")
	}
	for _, at := range []as.Endpoint{as.JWKS, as.PAR, as.Authorize, as.Token, as.UserInfo} {
		if n := len(w.AS.Requests(at)); n != 0 {
			w.Errorf("%d requests to %s", n, at)
		}
	}
}

func TestDISC_01_MetadataOfAnotherIssuerAreNotUsed(t *testing.T) {
	t.Parallel()
	// Module oidcc-client-test-discovery-issuer-mismatch.
	covers(t, "DISC-01", "CT-29")
	replace := func(old, by string) func(string) any {
		return func(issuer string) any { return strings.Replace(issuer, old, by, 1) }
	}
	for name, change := range map[string]func(string) any{
		"another":                     func(string) any { return "https://other.test/realms/shop" },
		"with a slash":                func(issuer string) any { return issuer + "/" },
		"with two slashes":            replace("/realms", "//realms"),
		"path in capitals":            replace("shop", "Shop"),
		"a letter that looks alike":   replace("shop", "ѕhop"), // U+0455
		"fullwidth":                   replace("shop", "ｓhop"),
		"a letter that nobody sees":   replace("shop", "sh\u200bop"),
		"percent-encoded":             replace("shop", "%73hop"),
		"dots":                        replace("/shop", "/x/../shop"),
		"without the path":            replace("/realms/shop", ""),
		"with a space":                func(issuer string) any { return issuer + " " },
		"another scheme":              replace("http://", "https://"),
		"the other name of this host": replace("127.0.0.1", "localhost"),
		"null":                        func(string) any { return nil },
		"a number":                    func(string) any { return 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newWorld(t, issuerPath("/realms/shop"), calling(change)).WantNothingUsed()
		})
	}
	t.Run("the same", func(t *testing.T) {
		w := newWorld(t, issuerPath("/realms/shop"))
		w.WantLogin(w.LoginAt(w.UA, ""))
	})
}

func TestDISC_02_EveryFetchIsCheckedForItsCertificate(t *testing.T) {
	t.Parallel()
	covers(t, "DISC-02")
	past := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}
	endpoints := map[string]as.Endpoint{"jwks_uri": as.JWKS, "token_endpoint": as.Token, "userinfo_endpoint": as.UserInfo, "pushed_authorization_request_endpoint": as.PAR}
	for name, certificate := range map[string]pki.Certificate{
		"self-signed": pki.SelfSigned(t, "127.0.0.1"), "other name": authority.Issue(t, "other.test"),
		"unknown authority": pki.New(t).Issue(t, "127.0.0.1"), "expired": authority.Issue(t, "127.0.0.1", past),
	} {
		for endpoint := range endpoints {
			t.Run(name+", "+endpoint, func(t *testing.T) {
				t.Parallel()
				bad := rs.Start(t, rs.Options{Certificate: &certificate})
				w := newWorld(t, secureProvider(), askingUserInfo(), behaviour(func(b *as.Behaviour) {
					b.Metadata = func(m map[string]any) { m[endpoint] = bad.URL + "/" }
				}))
				w.WantNoLogin(w.LoginAt(w.UA, ""))
				if n := len(bad.Requests()); n != 0 {
					t.Errorf("%d requests over a connection that nobody vouches for", n)
				}
			})
		}
	}
	for endpoint, at := range endpoints {
		t.Run("good, "+endpoint, func(t *testing.T) {
			t.Parallel()
			w := prepare(t, secureProvider(), askingUserInfo())
			w.AS.Change(func(b *as.Behaviour) {
				b.Metadata = func(m map[string]any) { m[endpoint] = w.AS.AliasURL(at) }
			})
			w.Start()
			w.WantLogin(w.LoginAt(w.UA, ""))
			if r := w.AS.Last(at); r == nil || !r.Alias {
				t.Errorf("%s was not used", endpoint)
			}
		})
	}
}

// No endpoint of a provider on https is called in plain text.
func TestDISC_02_NoFetchIsMadeWithoutTLS(t *testing.T) {
	t.Parallel()
	covers(t, "DISC-02")
	for _, endpoint := range []string{"authorization_endpoint", "jwks_uri", "token_endpoint", "userinfo_endpoint"} {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			plain := rs.Start(t, rs.Options{})
			w := newWorld(t, secureProvider(), askingUserInfo(), behaviour(func(b *as.Behaviour) {
				b.Metadata = func(m map[string]any) { m[endpoint] = plain.URL + "/" }
			}))
			w.WantNoLogin(w.LoginAt(w.UA, ""))
			if n := len(plain.Requests()); n != 0 {
				t.Errorf("%d requests in plain text", n)
			}
		})
	}
}

func TestDISC_03_IssuersAreComparedByCodePoint(t *testing.T) {
	t.Parallel()
	covers(t, "DISC-03")
	const composed, decomposed = "caf\u00e9", "cafe\u0301"
	escaped := func(issuer string) any { // the same string, written with the escapes that JSON has
		var b strings.Builder
		for _, r := range issuer {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		return json.RawMessage(`"` + b.String() + `"`)
	}
	for name, test := range map[string]struct {
		path   string
		change func(string) any
	}{
		"NFC here, NFD there":             {composed, func(issuer string) any { return strings.Replace(issuer, composed, decomposed, 1) }},
		"NFD here, NFC there":             {decomposed, func(issuer string) any { return strings.Replace(issuer, decomposed, composed, 1) }},
		"percent-encoded there":           {composed, func(issuer string) any { return strings.Replace(issuer, composed, "caf%C3%A9", 1) }},
		"NFC here, NFD in escapes there":  {composed, func(issuer string) any { return escaped(strings.Replace(issuer, composed, decomposed, 1)) }},
		"ASCII here, a ligature is there": {"office", func(issuer string) any { return strings.Replace(issuer, "ffi", "ﬃ", 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newWorld(t, issuerPath("/"+test.path), calling(test.change)).WantNothingUsed()
		})
	}
	for name, path := range map[string]string{"NFC": composed, "NFD": decomposed, "ASCII": "cafe"} {
		t.Run(name+" here and there", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, issuerPath("/"+path), askingUserInfo())
			w.WantAccepted(map[string]spoil{
				"as it stands": func(_, _ map[string]any) string { return "" },
				"in escapes":   func(claims, _ map[string]any) string { claims["iss"] = escaped(w.AS.Issuer); return "" },
			})
			w.AS.Forget()
			w.WantNoLoginBecause(w.LoginWith(with("iss", w.AS.Issuer+"\u0301")), "id_token_issuer_mismatch")
			inMetadata := newWorld(t, issuerPath("/"+path), calling(escaped))
			inMetadata.WantLogin(inMetadata.LoginAt(inMetadata.UA, ""))
		})
	}
}
