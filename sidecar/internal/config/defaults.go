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
	if len(p.Spec.Provider.Scopes) == 0 {
		p.Spec.Provider.Scopes = []string{"openid"}
	}
	if s := p.Spec.Session.Store; s != nil && s.Redis != nil {
		orDefault(&s.Redis.TLS, v1alpha1.StoreTLSDisabled)
	}
	for i := range p.Spec.Routes {
		route := &p.Spec.Routes[i]
		orDefault(&route.Token.Type, v1alpha1.TokenAccess)
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
