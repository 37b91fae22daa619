//go:build conformance

package conformance

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// everyByteEncoded is a text percent-encoded in full.
func everyByteEncoded(text, format string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

// callbackWith is a callback URL whose iss is written exactly as given.
func callbackWith(w *world, a *ua.Agent, query, rawISS string, change func(url.Values)) string {
	w.Helper()
	return spoiled(w, callbackOf(w, a, query), func(v url.Values) {
		v.Del("iss")
		change(v)
	}) + rawISS
}

func unchanged(url.Values) {}

func TestISS_01_04_10_TheIssuerIsDecodedAndComparedAsItStands(t *testing.T) {
	t.Parallel()
	covers(t, "ISS-01", "ISS-02", "ISS-04", "ISS-10")
	w := newWorld(t)
	issuer := w.AS.Issuer
	for name, test := range map[string]struct {
		raw  string
		good bool
	}{
		"form-encoded":                {url.QueryEscape(issuer), true},
		"as it stands":                {issuer, true},
		"every byte encoded":          {everyByteEncoded(issuer, "%%%02X"), true},
		"in lower-case hexadecimal":   {everyByteEncoded(issuer, "%%%02x"), true},
		"encoded twice":               {url.QueryEscape(url.QueryEscape(issuer)), false},
		"with a slash":                {url.QueryEscape(issuer + "/"), false},
		"in capitals":                 {url.QueryEscape(strings.ToUpper(issuer)), false},
		"scheme in capitals":          {url.QueryEscape("HTTP" + strings.TrimPrefix(issuer, "http")), false},
		"https":                       {url.QueryEscape("https" + strings.TrimPrefix(issuer, "http")), false},
		"with a space before":         {"+" + url.QueryEscape(issuer), false},
		"with a space behind":         {url.QueryEscape(issuer) + "%20", false},
		"with a line end":             {url.QueryEscape(issuer) + "%0A", false},
		"with a zero byte":            {url.QueryEscape(issuer) + "%00", false},
		"another port":                {url.QueryEscape(issuer + "0"), false},
		"a prefix":                    {url.QueryEscape(issuer[:len(issuer)-1]), false},
		"the other name of this host": {url.QueryEscape(strings.Replace(issuer, "127.0.0.1", "localhost", 1)), false},
		"another":                     {url.QueryEscape("https://other.test"), false},
		"empty":                       {"", false},
		"not decodable":               {"%zz", false},
	} {
		w.Case(name, func() {
			w.AS.Forget()
			w.UA.Jar.Clear()
			before := w.Rejected("iss_mismatch")
			r := w.UA.Go(ua.Navigation{URL: callbackWith(w, w.UA, "", "&iss="+test.raw, unchanged), From: issuer})
			if test.good {
				w.WantLogin(r)
				return
			}
			w.WantNoLogin(r)
			if n := len(w.AS.Requests(as.Token)); n != 0 {
				w.Errorf("%d token requests", n)
			}
			if test.raw != "%zz" {
				w.Eventually("the log gives the reason", func() bool { return w.Rejected("iss_mismatch") > before })
			}
		})
	}
}

func TestISS_03_AnErrorOfSomebodyElseIsNoAnswer(t *testing.T) {
	t.Parallel()
	covers(t, "ISS-03", "ISS-02")
	w := newWorld(t, allowing("prompt"))
	w.Login()
	cookie := w.Cookie()
	for _, code := range []string{"access_denied", "server_error", "login_required", "consent_required"} {
		for name, iss := range map[string]string{"another": "&iss=https%3A%2F%2Fother.test", "missing": ""} {
			for _, query := range []string{"", "prompt=none&returnTo=/orders"} {
				w.Case(code+", "+name+", "+query, func() {
					callback := callbackWith(w, w.UA, query, iss, func(v url.Values) {
						v.Del("code")
						v.Set("error", code)
						v.Set("error_description", "MALLORY-says-so")
					})
					ours := w.Rejected(code) + w.Rejected("provider_failed")
					r := w.UA.Go(ua.Navigation{URL: callback, From: w.AS.Issuer})
					if r.Status != http.StatusBadRequest || r.URL.Path != "/bff/callback" {
						w.Errorf("it was acted upon: %s at %s", r, r.URL)
					}
					for _, told := range []string{"MALLORY", "cancelled", "other.test", code} {
						if strings.Contains(r.Body, told) {
							w.Errorf("the page says %q", told)
						}
					}
					if w.Rejected(code)+w.Rejected("provider_failed") != ours || strings.Contains(w.Logs(), "MALLORY") {
						w.Error("it was taken for an answer")
					}
				})
			}
		}
	}
	if w.Cookie() != cookie || !w.Session().Authenticated {
		t.Error("the session has ended")
	}
	if n := len(w.AS.Grants("authorization_code")); n != 1 {
		t.Errorf("%d codes were redeemed", n)
	}
}

func TestISS_05_AnIssuerThatWasPromisedIsMissed(t *testing.T) {
	t.Parallel()
	covers(t, "ISS-05", "ISS-02")
	for name, options := range map[string][]option{"query": nil, "form_post": {formPost()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options...)
			// It is remembered, also while the provider says nothing any more.
			w.Login()
			w.UA.Jar.Clear()
			w.AS.Change(func(b *as.Behaviour) {
				b.AuthorizeResponse = func(response, _ url.Values) { response.Del("iss") }
			})
			w.AS.Fault(as.Discovery, 1000, http.StatusServiceUnavailable)
			before := len(w.AS.Requests(as.Token))
			w.WantNoLoginBecause(w.LoginAt(w.UA, ""), "iss_missing")
			if n := len(w.AS.Requests(as.Token)); n != before {
				t.Errorf("%d token requests", n-before)
			}
			w.AS.Change(func(b *as.Behaviour) { b.AuthorizeResponse = nil })
			w.UA.Jar.Clear()
			w.WantLogin(w.LoginAt(w.UA, ""))
		})
	}
}

// A response without iss is accepted from a provider that does not promise it;
// one with iss too, if it is right.
func TestISS_06_09_WithoutAPromiseAWrongIssuerIsStillWrong(t *testing.T) {
	t.Parallel()
	covers(t, "ISS-06", "ISS-09", "ISS-02")
	for name, unpromised := range map[string]func(m map[string]any){
		"false":   func(m map[string]any) { m["authorization_response_iss_parameter_supported"] = false },
		"missing": func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, behaviour(func(b *as.Behaviour) { b.WithoutResponseIssuer, b.Metadata = true, unpromised }))
			w.WantLogin(w.LoginAt(w.UA, ""))
			for iss, good := range map[string]bool{w.AS.Issuer: true, w.AS.Issuer + "/": false, "https://other.test": false, "": false} {
				w.Case("iss="+iss, func() {
					w.UA.Jar.Clear()
					w.AS.Forget()
					w.AS.Change(func(b *as.Behaviour) {
						b.AuthorizeResponse = func(response, _ url.Values) { response.Set("iss", iss) }
					})
					r := w.LoginAt(w.UA, "")
					if good {
						w.WantLogin(r)
						return
					}
					w.WantNoLogin(r)
					if n := len(w.AS.Requests(as.Token)); n != 0 {
						w.Errorf("%d token requests", n)
					}
				})
			}
		})
	}
}

func TestISS_08_AllThatNameTheIssuerAgree(t *testing.T) {
	t.Parallel()
	covers(t, "ISS-08")
	w := newWorld(t, askingUserInfo())
	const other = "https://other.test"
	for name, test := range map[string]struct {
		parameter, token string
		good             bool
	}{
		"both are right":               {w.AS.Issuer, w.AS.Issuer, true},
		"the parameter is wrong":       {other, w.AS.Issuer, false},
		"the ID token is wrong":        {w.AS.Issuer, other, false},
		"both are wrong and the same":  {other, other, false},
		"both are wrong and different": {other, "https://another.test", false},
	} {
		w.Case(name, func() {
			w.AS.Forget()
			w.AS.Change(func(b *as.Behaviour) {
				b.AuthorizeResponse = func(response, _ url.Values) { response.Set("iss", test.parameter) }
			})
			r := w.LoginWith(with("iss", test.token))
			if test.good {
				w.WantLogin(r)
			} else {
				w.WantNoLogin(r)
			}
		})
	}
}
