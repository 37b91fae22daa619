package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// Bounds of the API.
const (
	maxRoutes    = 100
	minDuration  = time.Minute
	maxDuration  = 720 * time.Hour
	maxURL       = 512
	maxIssuer    = 1024
	maxClientID  = 1024
	maxScopes    = 50
	maxScope     = 256
	maxAddress   = 300
	maxPath      = 512
	maxBasePath  = 64
	maxName      = 253
	maxRouteName = 63
	maxBundle    = 64 << 10
	maxIndicator = 512
	maxSkew      = 5 * time.Minute
	maxGrace     = 24 * time.Hour
	maxNetworks  = 32
)

// problems collects what is wrong with a policy.
type problems []error

// check adds a problem with a field unless ok.
func (p *problems) check(ok bool, field, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Errorf(field+": "+format, args...))
	}
}

// Validate says everything that is wrong with a policy whose defaults are
// filled in, each with the field and what to write instead. It holds a file to
// the rules that the CRD holds an object to, and to one more: a session store
// must be named.
func Validate(policy *v1alpha1.BFFPolicy) []error {
	var p problems
	p.check(policy.APIVersion == v1alpha1.GroupVersion.String() && policy.Kind == "BFFPolicy", "apiVersion, kind",
		"write apiVersion: %s and kind: BFFPolicy", v1alpha1.GroupVersion)
	p.check(policy.Name != "" && len(policy.Name) <= 63, "metadata.name", "write a name of 1 to 63 characters")

	spec := &policy.Spec
	p.check(len(spec.Selector.MatchLabels) > 0 || len(spec.Selector.MatchExpressions) > 0, "spec.selector",
		"must not be empty: name at least one label of the application's pods in matchLabels")
	p.origin("spec.publicURL", spec.PublicURL)
	p.application(&spec.Application)
	p.provider(&spec.Provider)
	p.session(&spec.Session)
	p.login(&spec.Login)
	p.logout(&spec.Logout)
	p.networks("spec.trustedProxies", spec.TrustedProxies)
	p.check(len(spec.Endpoints.BasePath) <= maxBasePath && basePath.MatchString(spec.Endpoints.BasePath), "spec.endpoints.basePath",
		"must be one or more plain segments such as /bff: letters, digits, - and _, no slash at the end")
	p.routes(spec)
	return p
}

func (p *problems) origin(field, url string) {
	p.check(len(url) <= maxURL && origin.MatchString(url), field,
		"must be an origin in lower case, scheme://host or scheme://host:port, without path, query, fragment or user, for example https://shop.example.com")
	p.check(!strings.HasPrefix(url, "http://") || loopbackOrigin.MatchString(url), field,
		"must use https; http is accepted only for localhost, *.localhost and loopback addresses")
}

func (p *problems) application(a *v1alpha1.Application) {
	const port = "spec.application.port"
	if a.Port.Type == intstr.Int {
		p.check(a.Port.IntVal >= 1 && a.Port.IntVal <= 65535, port,
			"must be a container port's name or a number from 1 to 65535")
		p.check(a.Port.IntVal != pod.TrafficPort && a.Port.IntVal != pod.AdminPort, port,
			"%d is the sidecar's own: let the application use another port", a.Port.IntVal)
	} else {
		p.check(portName.MatchString(a.Port.StrVal), port,
			"must be a container port's name (at most 15 characters, lower case letters, digits and -) or a number from 1 to 65535")
		p.check(!portName.MatchString(a.Port.StrVal) || strings.ContainsAny(a.Port.StrVal, lowerCase), port,
			"is a number in quotes: write it without them, for example port: 8080")
		p.check(a.Port.StrVal != pod.PortName && a.Port.StrVal != pod.AdminPortName, port,
			"the name %q is the sidecar's own: let the application use another", a.Port.StrVal)
	}
	p.check(a.Host == v1alpha1.HostLocalhost || a.Host == v1alpha1.HostPodIP, "spec.application.host",
		"write Localhost or PodIP")
}

// secretRef matters most here: name and key become a path.
func (p *problems) secretRef(field string, ref v1alpha1.SecretKeyReference) {
	p.check(len(ref.Name) <= maxName && secretName.MatchString(ref.Name), field+".name",
		"must be the name of a Secret: lower case letters, digits, - and .")
	p.check(len(ref.Key) <= maxName && secretKey.MatchString(ref.Key) && ref.Key != "." && !strings.HasPrefix(ref.Key, ".."), field+".key",
		"must be the name of an entry in the Secret's data, not a path")
}

// oneOf wants a value of an enumeration.
func oneOf[T ~string](p *problems, field string, value T, values ...T) {
	p.check(slices.Contains(values, value), field, "write one of %v", values)
}

// unique wants a set.
func unique[T comparable](p *problems, field string, values []T) {
	for i, v := range values {
		p.check(!slices.Contains(values[:i], v), fmt.Sprintf("%s[%d]", field, i), "stands there twice")
	}
}

// bundle wants certificates in PEM, or nothing.
func (p *problems) bundle(field, pem string) {
	p.check(len(pem) <= maxBundle, field, "must have at most %d characters", maxBundle)
	if _, err := poolOf(pem); err != nil {
		p.check(false, field, "%v: write one or more blocks of -----BEGIN CERTIFICATE-----", err)
	}
}

// networks wants networks in CIDR notation.
func (p *problems) networks(field string, networks []string) {
	p.check(len(networks) <= maxNetworks, field, "must be at most %d", maxNetworks)
	unique(p, field, networks)
	for i, n := range networks {
		_, err := netip.ParsePrefix(n)
		p.check(err == nil, fmt.Sprintf("%s[%d]", field, i), "must be a network in CIDR notation, for example 10.0.0.0/8 or fd00::/8")
	}
}

const lowerCase = "abcdefghijklmnopqrstuvwxyz"

// The CRD's patterns, as Go's regular expressions read them. $ is \z: a line
// feed at the end is no match.
var (
	origin         = regexp.MustCompile(`^https?://` + host + `(:[0-9]{1,5})?\z`)
	loopbackOrigin = regexp.MustCompile(`^http://` + loopback + `(:[0-9]{1,5})?\z`)
	loopbackURL    = regexp.MustCompile(`^http://` + loopback + `(:[0-9]{1,5})?(/.*)?\z`)
	clusterOrigin  = regexp.MustCompile(`^http://([a-z0-9-]+|([a-z0-9-]+\.)+svc(\.cluster\.local)?|([a-z0-9-]+\.)+localhost|127\.[0-9]+\.[0-9]+\.[0-9]+|\[::1\])(:[0-9]{1,5})?\z`)
	connectTo      = regexp.MustCompile(`^` + host + `:[0-9]{1,5}\z`)
	storeAddress   = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}\z`)
	basePath       = regexp.MustCompile(`^(/[A-Za-z0-9_-]+)+\z`)
	routePath      = regexp.MustCompile(`^(/[A-Za-z0-9_~!$&()*+,;=:@.-]+)+\z`)
	routeName      = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?\z`)
	portName       = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?\z`)
	secretName     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\z`)
	secretKey      = regexp.MustCompile(`^[-._a-zA-Z0-9]+\z`)
	absoluteURI    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]+\z`)
	parameterName  = regexp.MustCompile(`^[A-Za-z0-9._-]+\z`)
	acrValue       = regexp.MustCompile(`^[\x21-\x7E]+\z`)
	scope          = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+\z`)
)

const (
	host     = `([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])`
	loopback = `(localhost|([a-z0-9-]+\.)+localhost|127\.[0-9]+\.[0-9]+\.[0-9]+|\[::1\])`
)
