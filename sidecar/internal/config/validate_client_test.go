package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// certificate is a self-signed certificate and its key, in PEM.
func certificate(t testing.TB) (chain, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// clientMutations are about the provider's client, the session and the store.
func clientMutations(t testing.TB) []mutation {
	chain, _ := certificate(t)
	var m []mutation
	set := func(field string, mutate func(*v1alpha1.BFFPolicySpec)) {
		m = append(m, mutation{"number " + string(rune('A'+len(m)%26)) + " " + field, mutate, field})
	}
	type spec = v1alpha1.BFFPolicySpec
	seconds := func(n int) *metav1.Duration {
		return &metav1.Duration{Duration: time.Duration(n) * time.Second}
	}

	// How the client authenticates.
	const auth = "spec.provider.clientAuthentication"
	method := func(s *spec, method v1alpha1.ClientAuthenticationMethod) *v1alpha1.ClientAuthentication {
		a := &s.Provider.ClientAuthentication
		*a = v1alpha1.ClientAuthentication{Method: method}
		return a
	}
	ref := v1alpha1.SecretKeyReference{Name: "key", Key: "tls.key"}
	set(auth+".secretRef", func(s *spec) { method(s, v1alpha1.ClientSecretJWT) })
	set("", func(s *spec) { method(s, v1alpha1.ClientSecretJWT).SecretRef = &ref })
	set(auth+".privateKey", func(s *spec) { method(s, v1alpha1.PrivateKeyJWT) })
	set("", func(s *spec) { method(s, v1alpha1.PrivateKeyJWT).PrivateKey = &v1alpha1.PrivateKey{SecretRef: ref} })
	set(auth+".secretRef", func(s *spec) {
		a := method(s, v1alpha1.PrivateKeyJWT)
		a.PrivateKey, a.SecretRef = &v1alpha1.PrivateKey{SecretRef: ref}, &ref
	})
	set(auth+".privateKey.algorithm", func(s *spec) {
		method(s, v1alpha1.PrivateKeyJWT).PrivateKey = &v1alpha1.PrivateKey{SecretRef: ref, Algorithm: "HS256"}
	})
	set(auth+".privateKey.secretRef.name", func(s *spec) { method(s, v1alpha1.PrivateKeyJWT).PrivateKey = &v1alpha1.PrivateKey{} })
	set(auth+".certificateRef", func(s *spec) { method(s, v1alpha1.TLSClientAuth) })
	set(auth+".certificateRef", func(s *spec) {
		s.Provider.ClientAuthentication.CertificateRef = &v1alpha1.CertificateReference{Name: "mtls"}
	})
	set("", func(s *spec) {
		method(s, v1alpha1.SelfSignedTLSClientAuth).CertificateRef = &v1alpha1.CertificateReference{Name: "mtls"}
	})
	set(auth+".certificateRef.name", func(s *spec) {
		method(s, v1alpha1.TLSClientAuth).CertificateRef = &v1alpha1.CertificateReference{Name: "../x"}
	})
	set(auth+".workloadIdentity", func(s *spec) { method(s, v1alpha1.WorkloadIdentity) })
	set("", func(s *spec) {
		method(s, v1alpha1.WorkloadIdentity).WorkloadIdentity = &v1alpha1.WorkloadIdentityToken{Audience: "https://id.example.com"}
	})
	set(auth+".workloadIdentity.expirationSeconds", func(s *spec) {
		method(s, v1alpha1.WorkloadIdentity).WorkloadIdentity = &v1alpha1.WorkloadIdentityToken{Audience: "a", ExpirationSeconds: 60}
	})
	set(auth+".workloadIdentity.audience", func(s *spec) {
		method(s, v1alpha1.WorkloadIdentity).WorkloadIdentity = &v1alpha1.WorkloadIdentityToken{}
	})
	set(auth+".assertionAudience", func(s *spec) { s.Provider.ClientAuthentication.AssertionAudience = "Anybody" })

	// What is asked of the provider.
	set("spec.provider.idTokenSigningAlgorithms[0]", func(s *spec) { s.Provider.IDTokenSigningAlgorithms = []v1alpha1.SigningAlgorithm{"none"} })
	set("spec.provider.idTokenSigningAlgorithms[1]", func(s *spec) {
		s.Provider.IDTokenSigningAlgorithms = []v1alpha1.SigningAlgorithm{"ES256", "ES256"}
	})
	set("", func(s *spec) { s.Provider.IDTokenSigningAlgorithms = []v1alpha1.SigningAlgorithm{"ES256", "EdDSA"} })
	set("spec.provider.trustedAudiences[0]", func(s *spec) { s.Provider.TrustedAudiences = []string{""} })
	set("spec.provider.clockSkew", func(s *spec) { s.Provider.ClockSkew = seconds(301) })
	set("", func(s *spec) { s.Provider.ClockSkew = seconds(0) })
	set("spec.provider.userInfo", func(s *spec) { s.Provider.UserInfo = "Sometimes" })
	set("spec.provider.responseMode", func(s *spec) { s.Provider.ResponseMode = "fragment" })
	set("spec.provider.pushedAuthorizationRequests", func(s *spec) { s.Provider.PushedAuthorizationRequests = "Perhaps" })
	set("spec.provider.requestObject", func(s *spec) { s.Provider.RequestObject = v1alpha1.RequestObjectSigned })
	set("", func(s *spec) {
		s.Provider.RequestObject = v1alpha1.RequestObjectSigned
		s.Provider.ClientAuthentication.PrivateKey = &v1alpha1.PrivateKey{SecretRef: ref}
	})
	set("spec.provider.dpop", func(s *spec) { s.Provider.DPoP = "On" })
	for _, bad := range []string{"api", "/api", "https://api.example.com/#x", "https://api.example.com/a b", "https://api.example.com/größe", "https://api.example.com/<x>", ""} { // RES-01
		set("spec.provider.resources[0]", func(s *spec) { s.Provider.Resources = []string{bad} })
		if bad != "" {
			set("spec.routes[0].token.resource", func(s *spec) { s.Routes[0].Token.Resource = bad })
		}
	}
	for _, good := range []string{"https://api.example.com/", "urn:example:orders"} {
		set("", func(s *spec) {
			s.Provider.Resources, s.Routes[0].Token = []string{good}, v1alpha1.RouteToken{Resource: good, Scopes: []string{"orders"}}
		})
	}
	parameters := func(pairs ...string) func(*spec) {
		return func(s *spec) {
			for i := 0; i < len(pairs); i += 2 {
				s.Provider.AuthorizationParameters = append(s.Provider.AuthorizationParameters, v1alpha1.AuthorizationParameter{Name: pairs[i], Value: pairs[i+1]})
			}
		}
	}
	set("", parameters("access_type", "offline", "audience", "https://api.example.com/"))
	for _, reserved := range v1alpha1.ReservedParameters { // OA-03
		set("spec.provider.authorizationParameters[0].name", parameters(reserved, "x"))
	}
	set("spec.provider.authorizationParameters[0].name", parameters("a b", "x"))
	set("spec.provider.authorizationParameters[0].value", parameters("a", ""))
	set("spec.provider.authorizationParameters[1].name", parameters("a", "x", "a", "y"))
	set("spec.routes[0].token", func(s *spec) {
		s.Routes[0].Token = v1alpha1.RouteToken{Type: v1alpha1.TokenNone, Resource: "https://api.example.com/"}
	})
	set("spec.routes[0].token.scopes[0]", func(s *spec) { s.Routes[0].Token.Scopes = []string{"a b"} })
	set("spec.routes[0].upstream.clientCertificate", func(s *spec) { s.Routes[0].Upstream.ClientCertificate = "Own" })
	set("spec.routes[0].upstream.clientCertificate", func(s *spec) { s.Routes[0].Upstream.ClientCertificate = v1alpha1.UpstreamCertificateProvider })
	set("", func(s *spec) { s.Provider.CABundle, s.Routes[0].Upstream.CABundle = chain, chain })

	// How users log in and out.
	set("spec.login.allowedParameters[0]", func(s *spec) { s.Login.AllowedParameters = []v1alpha1.LoginParameter{"scope"} })
	set("", func(s *spec) { s.Login.AllowedParameters = []v1alpha1.LoginParameter{"prompt", "max_age"} })
	set("spec.login.acrValues[0]", func(s *spec) { s.Login.ACRValues = []string{"a b"} })
	set("spec.login.maxAge", func(s *spec) { s.Login.MaxAge = seconds(-1) })
	set("", func(s *spec) { s.Login.MaxAge = seconds(0) })
	set("spec.logout.idTokenHint", func(s *spec) { s.Logout.IDTokenHint = "Query" })
	set("spec.logout.frontChannel", func(s *spec) { s.Logout.FrontChannel = "Yes" })
	set("spec.trustedProxies[0]", func(s *spec) { s.TrustedProxies = []string{"10.0.0.1"} })
	set("", func(s *spec) { s.TrustedProxies = []string{"10.0.0.0/8", "fd00::/8"} })

	// Sessions and their store.
	set("spec.session.binding.mode", func(s *spec) { s.Session.Binding.Mode = "Strict" })
	set("spec.session.binding.ipv4PrefixLength", func(s *spec) { s.Session.Binding.IPv4PrefixLength = 33 })
	set("spec.session.binding.ipv6PrefixLength", func(s *spec) { s.Session.Binding.IPv6PrefixLength = 8 })
	set("spec.session.maxPerUser", func(s *spec) { s.Session.MaxPerUser = -1 })
	set("spec.session.outageGrace", func(s *spec) { s.Session.OutageGrace = seconds(25 * 3600) })
	set("", func(s *spec) { s.Session.OutageGrace = seconds(0) })
	set("spec.session.claims[0]", func(s *spec) { s.Session.Claims = []string{strings.Repeat("c", 300)} })
	const redis = "spec.session.store.redis."
	set(redis+"topology", func(s *spec) { s.Session.Store.Redis.Topology = "Ring" })
	set(redis+"sentinel", func(s *spec) { s.Session.Store.Redis.Topology = v1alpha1.RedisSentinel })
	set(redis+"sentinel", func(s *spec) { s.Session.Store.Redis.Sentinel = &v1alpha1.RedisSentinelOptions{MasterName: "m"} })
	set("", func(s *spec) {
		r := s.Session.Store.Redis
		r.Topology, r.Sentinel = v1alpha1.RedisSentinel, &v1alpha1.RedisSentinelOptions{MasterName: "m", PasswordSecretRef: &ref}
		r.AdditionalAddresses = []string{"sentinel-1:26379"}
	})
	set(redis+"additionalAddresses", func(s *spec) { s.Session.Store.Redis.AdditionalAddresses = []string{"b:1"} })
	set(redis+"additionalAddresses[0]", func(s *spec) {
		r := s.Session.Store.Redis
		r.Topology, r.AdditionalAddresses = v1alpha1.RedisCluster, []string{"redis://b"}
	})
	set(redis+"tls", func(s *spec) { s.Session.Store.Redis.CABundle = chain })
	set("", func(s *spec) {
		r := s.Session.Store.Redis
		r.TLS, r.CABundle, r.ClientCertificateRef = v1alpha1.StoreTLSEnabled, chain, &v1alpha1.CertificateReference{Name: "redis"}
	})
	return m
}

// The CRD cannot read PEM; the sidecar says so instead of trusting nobody.
func TestBundlesMustHoldCertificates(t *testing.T) {
	_, key := certificate(t)
	for _, bundle := range []string{"nonsense", key} {
		p := policy(t)
		p.Spec.Provider.CABundle, p.Spec.Routes[0].Upstream.CABundle = bundle, bundle
		var fields []string
		for _, problem := range configProblems(p) {
			field, _, _ := strings.Cut(problem, ": ")
			fields = append(fields, field)
			if strings.Contains(problem, "PRIVATE KEY") {
				t.Error("a key is quoted")
			}
		}
		if strings.Join(fields, " ") != "spec.provider.caBundle spec.routes[0].upstream.caBundle" {
			t.Errorf("problems with %v", fields)
		}
	}
}
