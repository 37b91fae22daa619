package main

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// Where things are on a laptop when the policy says an address of elsewhere.
const (
	localPublicURL = "http://localhost:8080"
	localIssuerURL = "http://id.localhost:8090"
)

// adapted is a policy for this machine.
type adapted struct {
	policy *v1alpha1.BFFPolicy
	// changes say what differs from the file, one line each.
	changes []string
	// sample says whether it is the sample shop, whose page and API come along.
	sample bool
}

// adapt makes a policy fit for this machine: sessions in memory, addresses that
// lead here, the built-in provider at the issuer's address. sampleAPI is where
// the sample's API listens. p is not changed.
func adapt(p *v1alpha1.BFFPolicy, o options, sampleAPI string) (adapted, error) {
	a := adapted{policy: p.DeepCopy(), sample: p.Name == "shop" && p.Namespace == "shop"}
	spec := &a.policy.Spec
	change := func(format string, args ...any) { a.changes = append(a.changes, fmt.Sprintf(format, args...)) }

	if !isLocal(spec.PublicURL) {
		change("publicURL is %s instead of %s", localPublicURL, spec.PublicURL)
		spec.PublicURL = localPublicURL
	}
	if s := spec.Session.Store; s == nil || s.Type != v1alpha1.StoreMemory {
		spec.Session.Store = &v1alpha1.SessionStore{Type: v1alpha1.StoreMemory}
		change("sessions are kept in memory")
	}
	if o.provider == builtin {
		if u, err := url.Parse(spec.Provider.IssuerURL); err != nil || !isLocal(spec.Provider.IssuerURL) || strings.Trim(u.Path, "/") != "" {
			change("issuerURL is %s instead of %s", localIssuerURL, spec.Provider.IssuerURL)
			spec.Provider.IssuerURL = localIssuerURL
		}
		// Not every resolver knows *.localhost.
		spec.Provider.ConnectTo = dialAddress(spec.Provider.IssuerURL)
		if names := simplify(spec); len(names) > 0 {
			change("the built-in provider is a simple one: %s as if not set", strings.Join(names, ", "))
		}
	} else if method := spec.Provider.ClientAuthentication.Method; !strings.HasPrefix(string(method), "client_secret_") || spec.Provider.ClientAuthentication.PrivateKey != nil {
		return a, fmt.Errorf("clientAuthentication by %s: --provider none works with a client secret and without a private key", method)
	}
	for _, name := range slices.Sorted(maps.Keys(o.upstreams)) {
		i := slices.IndexFunc(spec.Routes, func(r v1alpha1.Route) bool { return r.Name == name })
		if i < 0 {
			return a, fmt.Errorf("--upstream %s: the policy has no route of that name", name)
		}
	}
	for i := range spec.Routes {
		r := &spec.Routes[i]
		local, given := o.upstreams[r.Name]
		if !given && a.sample && sampleAPI != "" {
			local, given = sampleAPI, true
		}
		switch {
		case given:
			change("route %s goes to %s instead of %s", r.Name, local, r.Upstream.URL)
			r.Upstream.URL = local
		case !isLocal(r.Upstream.URL):
			change("route %s goes to %s; if that is not reachable from here, add --upstream %s=URL", r.Name, r.Upstream.URL, r.Name)
		}
	}
	return a, nil
}

// simplify takes from a policy what the built-in provider does not do, and names
// it.
func simplify(spec *v1alpha1.BFFPolicySpec) (names []string) {
	p := &spec.Provider
	reset := func(name string, was bool, to func()) {
		if was {
			names = append(names, name)
		}
		to()
	}
	a := &p.ClientAuthentication
	if a.Method != v1alpha1.ClientSecretBasic && a.Method != v1alpha1.ClientSecretPost {
		names = append(names, "clientAuthentication (now by a secret)")
		p.ClientAuthentication = v1alpha1.ClientAuthentication{Method: v1alpha1.ClientSecretBasic,
			SecretRef: &v1alpha1.SecretKeyReference{Name: "built-in", Key: "client-secret"}}
	}
	a.PrivateKey = nil
	reset("caBundle", p.CABundle != "", func() { p.CABundle = "" })
	reset("idTokenSigningAlgorithms", p.IDTokenSigningAlgorithms != nil, func() { p.IDTokenSigningAlgorithms = nil })
	reset("responseMode", p.ResponseMode == v1alpha1.ResponseModeFormPost, func() { p.ResponseMode = "" })
	reset("pushedAuthorizationRequests", p.PushedAuthorizationRequests == v1alpha1.PushRequired, func() { p.PushedAuthorizationRequests = "" })
	reset("requestObject", p.RequestObject == v1alpha1.RequestObjectSigned, func() { p.RequestObject = "" })
	reset("dpop", p.DPoP == v1alpha1.DPoPRequired || p.DPoP == v1alpha1.DPoPPreferred, func() { p.DPoP = "" })
	reset("login.acrValues", spec.Login.ACRValues != nil, func() { spec.Login.ACRValues = nil })
	for i := range spec.Routes {
		upstream := &spec.Routes[i].Upstream
		reset("clientCertificate of route "+spec.Routes[i].Name, upstream.ClientCertificate == v1alpha1.UpstreamCertificateProvider,
			func() { upstream.ClientCertificate = "" })
	}
	return names
}

// isLocal says whether a URL is one of plain http on this machine.
func isLocal(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" {
		return false
	}
	if address, err := netip.ParseAddr(u.Hostname()); err == nil {
		return address.IsLoopback()
	}
	return u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost")
}

// dialAddress is where a URL of this machine is served: its own address if it
// has one, otherwise 127.0.0.1.
func dialAddress(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	if address, err := netip.ParseAddr(u.Hostname()); err == nil {
		return net.JoinHostPort(address.String(), port)
	}
	return "127.0.0.1:" + port
}
