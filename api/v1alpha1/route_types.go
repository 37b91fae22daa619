package v1alpha1

// Route binds one part of the browser's URL space to one predefined upstream
// (RFC 10017 section 6.1.3.6).
type Route struct {
	// name of the route, unique in the policy. It appears in logs and metrics.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// path is a prefix on segment boundaries: /api matches /api and /api/orders,
	// not /apis. It is matched against the decoded, normalised path, which is also
	// the path that is sent.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self == '/' || self.matches('^(/[A-Za-z0-9_~!$&()*+,;=:@.-]+)+$')",message="path must start with / and have plain, unescaped segments and no slash at the end, for example /api/orders"
	// +kubebuilder:validation:XValidation:rule="!self.contains('/./') && !self.contains('/../') && !self.endsWith('/.') && !self.endsWith('/..')",message="path must not contain . or .. segments"
	Path string `json:"path"`

	// methods are the HTTP methods the route lets pass; others get 405. Left out,
	// all of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS pass.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=7
	Methods []Method `json:"methods,omitempty"`

	// upstream is where the calls go.
	// +required
	Upstream Upstream `json:"upstream"`

	// token says which token the upstream gets.
	// +optional
	// +kubebuilder:default={}
	Token RouteToken `json:"token,omitzero"`
}

// Method is an HTTP method.
//
// +kubebuilder:validation:Enum=GET;HEAD;POST;PUT;PATCH;DELETE;OPTIONS
type Method string

// Upstream is a resource server behind the sidecar.
type Upstream struct {
	// url is scheme, host and optional port; the path of the call is sent as it
	// is. Plain http would carry the token in clear, so it is accepted only inside
	// the cluster (a single label, *.svc, *.svc.cluster.local) and for localhost
	// and loopback addresses.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\\\\[[0-9a-f:.]+\\\\])(:[0-9]{1,5})?$')",message="url must be scheme://host or scheme://host:port in lower case, without path, query, fragment or user, for example http://orders.shop.svc:8080"
	// +kubebuilder:validation:XValidation:rule="self.startsWith('https://') || self.matches('^http://([a-z0-9-]+|([a-z0-9-]+\\\\.)+svc(\\\\.cluster\\\\.local)?|([a-z0-9-]+\\\\.)+localhost|127\\\\.[0-9]+\\\\.[0-9]+\\\\.[0-9]+|\\\\[::1\\\\])(:[0-9]{1,5})?$')",message="url must use https outside the cluster; http is accepted for a Service (name, name.namespace.svc) and for loopback addresses"
	URL string `json:"url"`

	// caBundle are certificate authorities in PEM that the upstream's certificate is
	// verified against, in place of the usual ones.
	// +optional
	// +kubebuilder:validation:MaxLength=65536
	CABundle string `json:"caBundle,omitempty"`

	// clientCertificate is Provider to show the upstream the certificate of
	// provider.clientAuthentication, which certificate-bound access tokens need (RFC
	// 8705 section 3). The default is None.
	// +optional
	// +kubebuilder:default=None
	ClientCertificate UpstreamCertificate `json:"clientCertificate,omitempty"`
}

// UpstreamCertificate says which certificate an upstream is shown.
//
// +kubebuilder:validation:Enum=None;Provider
type UpstreamCertificate string

// Values of UpstreamCertificate.
const (
	UpstreamCertificateNone     UpstreamCertificate = "None"
	UpstreamCertificateProvider UpstreamCertificate = "Provider"
)

// TokenType is a kind of token a route attaches.
//
// +kubebuilder:validation:Enum=Access;None
type TokenType string

const (
	// TokenAccess attaches the session's access token as a Bearer token (RFC 6750
	// section 2.1).
	TokenAccess TokenType = "Access"
	// TokenNone attaches nothing. The call still needs a session.
	TokenNone TokenType = "None"
)

// RouteToken says which token a route attaches.
//
// +kubebuilder:validation:XValidation:rule="(!has(self.resource) && !has(self.scopes)) || !has(self.type) || self.type == 'Access'",message="resource and scopes narrow an access token: they need type Access"
type RouteToken struct {
	// type is Access (the default: the session's access token, refreshed when
	// needed) or None (nothing is attached; the call still needs a session).
	// +optional
	// +kubebuilder:default=Access
	Type TokenType `json:"type,omitempty"`

	// resource narrows the access token to one of the APIs the grant is for: it is
	// got by a refresh that names this resource (RFC 8707 section 2.2) and is sent to
	// this route alone. An absolute URI without fragment. Left out, the route gets
	// the login's access token.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]+$`
	// +kubebuilder:validation:XValidation:rule="isURL(self) && self.matches('^[A-Za-z][A-Za-z0-9+.-]*:') && !self.contains('#')",message="resource must be an absolute URI without fragment, for example https://api.example.com/"
	Resource string `json:"resource,omitempty"`

	// scopes narrow the access token to these scopes (RFC 6749 section 6). Left out,
	// it has all that were granted.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^[\x21\x23-\x5B\x5D-\x7E]+$`
	Scopes []string `json:"scopes,omitempty"`
}
