package config

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// Defaulted returns a copy of the policy with the defaults of the CRD filled
// in, for files that never passed an API server. It does not choose a session
// store: that is the operator's default, not the API's.
func Defaulted(policy *v1alpha1.BFFPolicy) *v1alpha1.BFFPolicy {
	p := policy.DeepCopy()
	orDefault(&p.Spec.Application.Host, v1alpha1.HostLocalhost)
	orDefault(&p.Spec.Endpoints.BasePath, "/bff")
	orDefault(&p.Spec.Session.IdleTimeout, metav1.Duration{Duration: 30 * time.Minute})
	orDefault(&p.Spec.Session.Lifetime, metav1.Duration{Duration: 12 * time.Hour})
	orDefault(&p.Spec.Logout.IDTokenHint, v1alpha1.IDTokenHintFormPost)
	orDefault(&p.Spec.Logout.FrontChannel, v1alpha1.Disabled)
	defaultProvider(&p.Spec.Provider)
	orPointer(&p.Spec.Session.OutageGrace, metav1.Duration{Duration: 10 * time.Minute})
	orDefault(&p.Spec.Session.Binding.Mode, v1alpha1.BindingDisabled)
	orDefault(&p.Spec.Session.Binding.IPv4PrefixLength, 24)
	orDefault(&p.Spec.Session.Binding.IPv6PrefixLength, 56)
	if s := p.Spec.Session.Store; s != nil && s.Redis != nil {
		orDefault(&s.Redis.TLS, v1alpha1.StoreTLSDisabled)
		orDefault(&s.Redis.Topology, v1alpha1.RedisStandalone)
	}
	for i := range p.Spec.Routes {
		route := &p.Spec.Routes[i]
		orDefault(&route.Token.Type, v1alpha1.TokenAccess)
		orDefault(&route.Upstream.ClientCertificate, v1alpha1.UpstreamCertificateNone)
		if len(route.Methods) == 0 {
			route.Methods = allMethods()
		}
	}
	return p
}

// allMethods are what a route lets pass that names no methods. CONNECT and
// TRACE never pass.
func allMethods() []v1alpha1.Method {
	return []v1alpha1.Method{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func orPointer[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

func defaultProvider(v *v1alpha1.Provider) {
	if len(v.Scopes) == 0 {
		v.Scopes = []string{"openid"}
	}
	orPointer(&v.ClockSkew, metav1.Duration{Duration: 30 * time.Second})
	orDefault(&v.UserInfo, v1alpha1.Disabled)
	orDefault(&v.ResponseMode, v1alpha1.ResponseModeQuery)
	orDefault(&v.PushedAuthorizationRequests, v1alpha1.PushAuto)
	orDefault(&v.RequestObject, v1alpha1.RequestObjectDisabled)
	orDefault(&v.DPoP, v1alpha1.DPoPDisabled)
	orDefault(&v.ClientAuthentication.AssertionAudience, v1alpha1.AudienceIssuer)
	if identity := v.ClientAuthentication.WorkloadIdentity; identity != nil {
		orDefault(&identity.ExpirationSeconds, 3600)
	}
}
