package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

func (p *problems) routes(spec *v1alpha1.BFFPolicySpec) {
	routes := spec.Routes
	p.check(len(routes) <= maxRoutes, "spec.routes", "must be at most %d", maxRoutes)
	names, paths := map[string]bool{}, map[string]bool{}
	for i, r := range routes {
		field := fmt.Sprintf("spec.routes[%d]", i)
		p.check(len(r.Name) <= maxRouteName && routeName.MatchString(r.Name), field+".name",
			"must be 1 to %d lower case letters, digits and -", maxRouteName)
		p.check(!names[r.Name], field+".name", "%q is another route's name", r.Name)
		p.check(!paths[r.Path], field+".path", "%q is another route's path: merge the routes, or make one path longer", r.Path)
		names[r.Name], paths[r.Path] = true, true
		p.route(field, &r, spec.Endpoints.BasePath)
		p.check(r.Upstream.ClientCertificate != v1alpha1.UpstreamCertificateProvider || spec.Provider.ClientAuthentication.CertificateRef != nil,
			field+".upstream.clientCertificate", "Provider needs provider.clientAuthentication.certificateRef: the certificate to show")
	}
}

func (p *problems) route(field string, r *v1alpha1.Route, basePath string) {
	p.check(len(r.Path) <= maxPath && (r.Path == "/" || routePath.MatchString(r.Path)), field+".path",
		"must start with / and have plain, unescaped segments and no slash at the end, for example /api/orders")
	p.check(!strings.Contains(r.Path+"/", "/./") && !strings.Contains(r.Path+"/", "/../"), field+".path",
		"must not contain . or .. segments")
	p.check(r.Path != basePath && !strings.HasPrefix(r.Path, basePath+"/"), field+".path",
		"must not lie below endpoints.basePath (%s): the sidecar's own endpoints live there", basePath)

	for i, m := range r.Methods {
		name := fmt.Sprintf("%s.methods[%d]", field, i)
		p.check(slices.Contains(allMethods(), m), name, "write one of %v", allMethods())
		p.check(!slices.Contains(r.Methods[:i], m), name, "%s stands there twice", m)
	}

	upstream := r.Upstream.URL
	p.check(len(upstream) <= maxURL && origin.MatchString(upstream) && isAbsoluteURL(upstream), field+".upstream.url",
		"must be scheme://host or scheme://host:port in lower case, without path, query, fragment or user, for example http://orders.shop.svc:8080")
	p.check(!strings.HasPrefix(upstream, "http://") || clusterOrigin.MatchString(upstream), field+".upstream.url",
		"must use https outside the cluster; http is accepted for a Service (name, name.namespace.svc) and for loopback addresses")
	p.bundle(field+".upstream.caBundle", r.Upstream.CABundle)
	oneOf(p, field+".upstream.clientCertificate", r.Upstream.ClientCertificate, v1alpha1.UpstreamCertificateNone, v1alpha1.UpstreamCertificateProvider)
	oneOf(p, field+".token.type", r.Token.Type, v1alpha1.TokenAccess, v1alpha1.TokenNone)
	p.check(r.Token.Type == v1alpha1.TokenAccess || r.Token.Resource == "" && len(r.Token.Scopes) == 0, field+".token",
		"resource and scopes narrow an access token: they need type Access")
	if r.Token.Resource != "" {
		p.resource(field+".token.resource", r.Token.Resource)
	}
	p.scopes(field+".token.scopes", r.Token.Scopes, 20)
}

// isURI says whether s is an absolute URI, as CEL's isURL reads one.
func isURI(s string) bool {
	u, err := url.ParseRequestURI(s)
	return err == nil && u.IsAbs() && absoluteURI.MatchString(s)
}

func isAbsoluteURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != ""
}
