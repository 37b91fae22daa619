package login

import (
	"net/url"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
)

// OIDC-17: the SEC-02 payloads as target_link_uri.
func TestPathOf(t *testing.T) {
	const origin = "https://shop.example.com"
	h := &Handler{origin: origin, basePath: "/bff"}
	for _, row := range []struct{ in, want string }{ // want "": refused
		{"", "/"},
		{origin, "/"},
		{origin + "/", "/"},
		{origin + "/orders?page=2#top", "/orders?page=2#top"},
		{origin + "?a=b", "/?a=b"},
		{origin + "#a", "/#a"},
		{origin + "/bff/login?iss=x", "/"},

		{"/orders", ""},
		{"//shop.example.com/", ""},
		{"https://evil.example", ""},
		{"http://shop.example.com/", ""},
		{"https:shop.example.com/", ""},
		{"https:/shop.example.com/", ""},
		{"https:///shop.example.com/", ""},
		{"https:\\\\shop.example.com/", ""},
		{origin + ".evil.example/", ""},
		{origin + "@evil.example/", ""},
		{origin + ":443@evil.example/", ""},
		{origin + ":8443/", ""},
		{origin + "%2eevil.example/", ""},
		{origin + "\\@evil.example/", ""},
		{origin + "//evil.example", ""},
		{origin + "/\\evil.example", ""},
		{origin + "/%2f%2fevil.example", ""},
		{origin + "/%09/evil.example", ""},
		{origin + "/../..//evil.example", ""},
		{origin + "/\n", ""},
		{" " + origin + "/", ""},
		{"\t" + origin + "/", ""},
		{"javascript:alert(1)//" + origin, ""},
		{"data:text/html," + origin, ""},
		{"view-source:" + origin + "/", ""},
	} {
		got, err := h.pathOf(row.in)
		if got != row.want || (err != nil) != (row.want == "") {
			t.Errorf("pathOf(%q) = %q, %v; want %q", row.in, got, err, row.want)
		}
	}
}

func FuzzPathOf(f *testing.F) {
	const origin = "https://shop.example.com"
	h := &Handler{origin: origin, basePath: "/bff"}
	for _, seed := range []string{"", origin, origin + "/a?b#c", origin + "@e", origin + ".e", origin + ":1", "https://e/" + origin} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out, err := h.pathOf(in)
		if err != nil {
			return
		}
		if again, err := ReturnTo(out, "/bff"); err != nil || again != out {
			t.Errorf("%q became %q, which is no path to return to", in, out)
		}
		if in == "" {
			return
		}
		if u, err := url.Parse(in); err != nil || u.Scheme != "https" || u.Host != "shop.example.com" || u.User != nil {
			t.Errorf("net/url reads %q as of %v", in, u)
		}
		if got := browserResolve(in); got != "https" { // it has a scheme of its own
			t.Errorf("a browser reads %q as %q", in, got)
		}
	})
}

func TestReadInitiation(t *testing.T) {
	const issuer, origin = "https://id.example.com", "https://shop.example.com"
	h := &Handler{provider: namedProvider{issuer: issuer}, origin: origin, basePath: "/bff"}
	for name, row := range map[string]struct {
		query          string
		returnTo, hint string
		again          string
		reason         flow.Reason
	}{
		"OIDC-16 iss alone":      {"iss=" + issuer, "/", "", "iss=https%3A%2F%2Fid.example.com", ""},
		"OIDC-16 everything":     {"iss=" + issuer + "&target_link_uri=" + origin + "/a&login_hint=alice", "/a", "alice", "iss=https%3A%2F%2Fid.example.com&login_hint=alice&target_link_uri=https%3A%2F%2Fshop.example.com%2Fa", ""},
		"OIDC-16 unknown ones":   {"iss=" + issuer + "&x=1&x=2&lti_message_hint=y", "/", "", "iss=https%3A%2F%2Fid.example.com", ""},
		"OIDC-18 shaping ones":   {"iss=" + issuer + "&scope=admin&prompt=none&acr_values=low&max_age=9&returnTo=/x&max_age=8&prompt=<", "/", "", "iss=https%3A%2F%2Fid.example.com", ""},
		"no iss":                 {"target_link_uri=" + origin, "", "", "", flow.ReasonIssuer},
		"empty iss":              {"iss=", "", "", "", flow.ReasonIssuer},
		"another iss":            {"iss=https://evil.example", "", "", "", flow.ReasonIssuer},
		"almost our iss":         {"iss=" + issuer + "/", "", "", "", flow.ReasonIssuer},
		"two iss":                {"iss=" + issuer + "&iss=" + issuer, "", "", "", flow.ReasonIssuer},
		"OIDC-17 another site":   {"iss=" + issuer + "&target_link_uri=https://evil.example/", "", "", "", ReasonTargetLink},
		"two targets":            {"iss=" + issuer + "&target_link_uri=" + origin + "&target_link_uri=" + origin, "", "", "", ReasonTargetLink},
		"two hints":              {"iss=" + issuer + "&login_hint=a&login_hint=b", "", "", "", ReasonParameter},
		"hint that cannot stand": {"iss=" + issuer + "&login_hint=%00", "", "", "", ReasonParameter},
	} {
		t.Run(name, func(t *testing.T) {
			query, err := url.ParseQuery(row.query)
			if err != nil {
				t.Fatal(err)
			}
			got, refusal := h.readInitiation(query)
			if refusal.Reason != row.reason || got.returnTo != row.returnTo || got.LoginHint != row.hint {
				t.Errorf("got %q, hint %q, reason %q", got.returnTo, got.LoginHint, refusal.Reason)
			}
			if row.reason == "" && (got.parameters.Encode() != row.again || got.Prompt != "" || got.ACRValues != nil || got.MaxAge != nil) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// namedProvider has a name and nothing else.
type namedProvider struct {
	Provider
	issuer string
}

func (p namedProvider) Issuer() string { return p.issuer }
