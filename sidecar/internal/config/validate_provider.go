package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

func (p *problems) provider(v *v1alpha1.Provider) {
	const field = "spec.provider."
	p.check(len(v.IssuerURL) <= maxIssuer && isAbsoluteURL(v.IssuerURL) && !strings.ContainsAny(v.IssuerURL, "?#@"), field+"issuerURL",
		"must be an absolute URL without query, fragment or user, for example https://id.example.com")
	p.check(!strings.HasPrefix(v.IssuerURL, "http://") || loopbackURL.MatchString(v.IssuerURL), field+"issuerURL",
		"must use https; http is accepted only for localhost, *.localhost and loopback addresses")
	p.check(v.ClientID != "" && len(v.ClientID) <= maxClientID, field+"clientID",
		"write the client identifier registered at the provider")
	p.clientAuthentication(field+"clientAuthentication", &v.ClientAuthentication)

	p.check(slices.Contains(v.Scopes, "openid"), field+"scopes",
		"must contain openid: without it the provider issues no ID token")
	p.scopes(field+"scopes", v.Scopes, maxScopes)
	p.check(v.ConnectTo == "" || len(v.ConnectTo) <= maxAddress && connectTo.MatchString(v.ConnectTo), field+"connectTo",
		"must be host:port, for example keycloak.id.svc:8443")
	p.bundle(field+"caBundle", v.CABundle)

	for i, a := range v.IDTokenSigningAlgorithms {
		oneOf(p, fmt.Sprintf("%sidTokenSigningAlgorithms[%d]", field, i), a, algorithms...)
	}
	unique(p, field+"idTokenSigningAlgorithms", v.IDTokenSigningAlgorithms)
	p.check(len(v.TrustedAudiences) <= 16, field+"trustedAudiences", "must be at most 16")
	unique(p, field+"trustedAudiences", v.TrustedAudiences)
	for i, a := range v.TrustedAudiences {
		p.check(a != "" && len(a) <= maxIndicator, fmt.Sprintf("%strustedAudiences[%d]", field, i), "must have 1 to %d characters", maxIndicator)
	}
	p.between(field+"clockSkew", v.ClockSkew.Duration, 0, maxSkew, "from 0s to 5m, for example 30s")
	oneOf(p, field+"userInfo", v.UserInfo, v1alpha1.Enabled, v1alpha1.Disabled)
	oneOf(p, field+"responseMode", v.ResponseMode, v1alpha1.ResponseModeQuery, v1alpha1.ResponseModeFormPost)
	oneOf(p, field+"pushedAuthorizationRequests", v.PushedAuthorizationRequests, v1alpha1.PushAuto, v1alpha1.PushRequired, v1alpha1.PushDisabled)
	oneOf(p, field+"requestObject", v.RequestObject, v1alpha1.RequestObjectSigned, v1alpha1.RequestObjectDisabled)
	p.check(v.RequestObject != v1alpha1.RequestObjectSigned || v.ClientAuthentication.PrivateKey != nil, field+"requestObject",
		"Signed needs clientAuthentication.privateKey: the key that request objects are signed with")
	oneOf(p, field+"dpop", v.DPoP, v1alpha1.DPoPRequired, v1alpha1.DPoPPreferred, v1alpha1.DPoPDisabled)
	p.parameters(field+"authorizationParameters", v.AuthorizationParameters)
	p.check(len(v.Resources) <= 16, field+"resources", "must be at most 16")
	unique(p, field+"resources", v.Resources)
	for i, r := range v.Resources {
		p.resource(fmt.Sprintf("%sresources[%d]", field, i), r)
	}
}

// parameters wants none that the sidecar sets itself, so that none stands in a
// request twice (OA-03).
func (p *problems) parameters(field string, parameters []v1alpha1.AuthorizationParameter) {
	p.check(len(parameters) <= 16, field, "must be at most 16")
	names := map[string]bool{}
	for i, a := range parameters {
		at := fmt.Sprintf("%s[%d]", field, i)
		p.check(len(a.Name) <= 64 && parameterName.MatchString(a.Name), at+".name", "must be 1 to 64 letters, digits, ., _ and -")
		p.check(!slices.Contains(v1alpha1.ReservedParameters, a.Name), at+".name", "%q is the sidecar's own: use the policy's other fields", a.Name)
		p.check(!names[a.Name], at+".name", "%q stands there twice", a.Name)
		p.check(a.Value != "" && len(a.Value) <= maxIndicator, at+".value", "must have 1 to %d characters", maxIndicator)
		names[a.Name] = true
	}
}

var algorithms = []v1alpha1.SigningAlgorithm{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

func (p *problems) clientAuthentication(field string, a *v1alpha1.ClientAuthentication) {
	oneOf(p, field+".method", a.Method, v1alpha1.ClientSecretBasic, v1alpha1.ClientSecretPost, v1alpha1.ClientSecretJWT,
		v1alpha1.PrivateKeyJWT, v1alpha1.TLSClientAuth, v1alpha1.SelfSignedTLSClientAuth, v1alpha1.WorkloadIdentity)
	p.check(strings.HasPrefix(string(a.Method), "client_secret_") == (a.SecretRef != nil), field+".secretRef",
		"must be set with the methods client_secret_basic, client_secret_post and client_secret_jwt, and only with them")
	p.check(a.Method != v1alpha1.PrivateKeyJWT || a.PrivateKey != nil, field+".privateKey", "must be set with the method private_key_jwt")
	byTLS := a.Method == v1alpha1.TLSClientAuth || a.Method == v1alpha1.SelfSignedTLSClientAuth
	p.check(byTLS == (a.CertificateRef != nil), field+".certificateRef",
		"must be set with the methods tls_client_auth and self_signed_tls_client_auth, and only with them")
	p.check((a.Method == v1alpha1.WorkloadIdentity) == (a.WorkloadIdentity != nil), field+".workloadIdentity",
		"must be set with the method workload_identity, and only with it")
	oneOf(p, field+".assertionAudience", a.AssertionAudience, v1alpha1.AudienceIssuer, v1alpha1.AudienceTokenEndpoint)

	if a.SecretRef != nil {
		p.secretRef(field+".secretRef", *a.SecretRef)
	}
	if key := a.PrivateKey; key != nil {
		p.secretRef(field+".privateKey.secretRef", key.SecretRef)
		p.check(len(key.KeyID) <= 256, field+".privateKey.keyID", "must have at most 256 characters")
		if key.Algorithm != "" {
			oneOf(p, field+".privateKey.algorithm", key.Algorithm, algorithms...)
		}
	}
	if a.CertificateRef != nil {
		p.secretRef(field+".certificateRef", a.CertificateRef.Certificate())
	}
	if identity := a.WorkloadIdentity; identity != nil {
		p.check(identity.Audience != "" && len(identity.Audience) <= maxIndicator, field+".workloadIdentity.audience",
			"must have 1 to %d characters", maxIndicator)
		p.check(identity.ExpirationSeconds >= 600 && identity.ExpirationSeconds <= 86400, field+".workloadIdentity.expirationSeconds",
			"must be from 600 to 86400")
	}
}

func (p *problems) scopes(field string, scopes []string, most int) {
	p.check(len(scopes) <= most, field, "must be at most %d", most)
	unique(p, field, scopes)
	for i, s := range scopes {
		p.check(len(s) <= maxScope && scope.MatchString(s), fmt.Sprintf("%s[%d]", field, i),
			`must be 1 to %d printable characters without space, " and \`, maxScope)
	}
}

// resource wants a resource indicator (RFC 8707 section 2).
func (p *problems) resource(field, r string) {
	p.check(len(r) <= maxIndicator && isURI(r) && !strings.Contains(r, "#"), field,
		"must be an absolute URI without fragment, for example https://api.example.com/")
}

func (p *problems) between(field string, d, least, most time.Duration, sentence string) {
	p.check(d >= least && d <= most, field, "must be a duration %s", sentence)
}

func (p *problems) login(l *v1alpha1.Login) {
	const field = "spec.login."
	for i, name := range l.AllowedParameters {
		oneOf(p, fmt.Sprintf("%sallowedParameters[%d]", field, i), name,
			v1alpha1.ParameterPrompt, v1alpha1.ParameterLoginHint, v1alpha1.ParameterACRValues, v1alpha1.ParameterMaxAge, v1alpha1.ParameterUILocales)
	}
	unique(p, field+"allowedParameters", l.AllowedParameters)
	p.check(len(l.ACRValues) <= 8, field+"acrValues", "must be at most 8")
	for i, acr := range l.ACRValues {
		p.check(len(acr) <= 256 && acrValue.MatchString(acr), fmt.Sprintf("%sacrValues[%d]", field, i), "must be 1 to 256 printable characters without space")
	}
	if l.MaxAge != nil {
		p.between(field+"maxAge", l.MaxAge.Duration, 0, maxDuration, "from 0s to 720h, for example 1h")
	}
}

func (p *problems) logout(l *v1alpha1.Logout) {
	oneOf(p, "spec.logout.idTokenHint", l.IDTokenHint, v1alpha1.IDTokenHintFormPost, v1alpha1.IDTokenHintNone)
	oneOf(p, "spec.logout.frontChannel", l.FrontChannel, v1alpha1.Enabled, v1alpha1.Disabled)
}
