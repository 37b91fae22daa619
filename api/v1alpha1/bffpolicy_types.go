package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// BFFPolicy puts a Backend for Frontend (RFC 10017 section 6.1) in front of
// the pods it selects. It acts in its own namespace only.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=bffp,categories=bff
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Pods",type=string,JSONPath=`.status.pods.summary`,description="Ready pods with the sidecar, of all pods the policy matches"
// +kubebuilder:printcolumn:name="Issuer",type=string,JSONPath=`.spec.provider.issuerURL`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="metadata.name must have at most 63 characters: it becomes part of other names"
type BFFPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the namespace's owner asks for.
	// +required
	Spec BFFPolicySpec `json:"spec"`

	// status is what the operator found. It is written by the operator alone.
	// +optional
	Status BFFPolicyStatus `json:"status,omitzero"`
}

// BFFPolicyList is a list of policies.
//
// +kubebuilder:object:root=true
type BFFPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BFFPolicy `json:"items"`
}

// BFFPolicySpec is the desired behaviour of the sidecar in front of the
// selected pods.
//
// +kubebuilder:validation:XValidation:rule="!has(self.routes) || !has(self.endpoints) || self.routes.all(r, r.path != self.endpoints.basePath && !r.path.startsWith(self.endpoints.basePath + '/'))",message="a route's path must not lie below endpoints.basePath (by default /bff): the sidecar's own endpoints live there"
// +kubebuilder:validation:XValidation:rule="!has(self.routes) || has(self.provider.clientAuthentication.certificateRef) || self.routes.all(r, !has(r.upstream.clientCertificate) || r.upstream.clientCertificate == 'None')",message="upstream.clientCertificate Provider needs provider.clientAuthentication.certificateRef: the certificate to show"
type BFFPolicySpec struct {
	// selector says which pods of the namespace get the sidecar. A pod must also
	// carry the label bff-operator.io/inject: "true"; that is what the API server
	// sends to the operator. If several policies match a pod the oldest wins, then
	// the first by name.
	// +required
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist'])",message="operator must be In, NotIn, Exists or DoesNotExist"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, (e.operator in ['In', 'NotIn']) == (has(e.values) && size(e.values) > 0))",message="values must be given with the operators In and NotIn, and only with them"
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="selector must not be empty: name at least one label of the application's pods in matchLabels"
	Selector metav1.LabelSelector `json:"selector"`

	// publicURL is the origin the browser sees, for example
	// https://shop.example.com. The redirect URI is derived from it and never from
	// a request header (RFC 9700 section 2.1). Scheme, host and optional port
	// only. Plain http is accepted for localhost, *.localhost and loopback
	// addresses alone.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\\\\[[0-9a-f:.]+\\\\])(:[0-9]{1,5})?$')",message="publicURL must be an origin in lower case, scheme://host or scheme://host:port, without path, query, fragment or user, for example https://shop.example.com"
	// +kubebuilder:validation:XValidation:rule="self.startsWith('https://') || self.matches('^http://(localhost|([a-z0-9-]+\\\\.)+localhost|127\\\\.[0-9]+\\\\.[0-9]+\\\\.[0-9]+|\\\\[::1\\\\])(:[0-9]{1,5})?$')",message="publicURL must use https; http is accepted only for localhost, *.localhost and loopback addresses"
	PublicURL string `json:"publicURL"`

	// application says how the sidecar reaches the single-page application.
	// +required
	Application Application `json:"application"`

	// provider is the OpenID Provider users log in at.
	// +required
	Provider Provider `json:"provider"`

	// session says how long a login lasts and where it is kept.
	// +optional
	// +kubebuilder:default={}
	Session Session `json:"session,omitzero"`

	// login says how users log in.
	// +optional
	// +kubebuilder:default={}
	Login Login `json:"login,omitzero"`

	// logout says what a logout does.
	// +optional
	// +kubebuilder:default={}
	Logout Logout `json:"logout,omitzero"`

	// trustedProxies are the networks of the proxies in front of the sidecar, such
	// as an ingress controller's. From a peer in them, X-Forwarded-For is believed,
	// from its end up to the first address that is not in them. Left out, the
	// client's address is the peer's.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.all(n, isCIDR(n))",message="each of trustedProxies must be a network in CIDR notation, for example 10.0.0.0/8 or fd00::/8"
	TrustedProxies []string `json:"trustedProxies,omitempty"`

	// routes are the API calls the sidecar forwards with a token. The longest
	// matching path wins; what no route matches goes to the application.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.path == b.path))",message="each path may stand in one route only: merge the routes, or make one path longer"
	Routes []Route `json:"routes,omitempty"`

	// endpoints says where the sidecar's own endpoints live.
	// +optional
	// +kubebuilder:default={}
	Endpoints Endpoints `json:"endpoints,omitzero"`
}

// Endpoints places the sidecar's own endpoints (login, callback, session,
// logout) in the URL space of the application.
type Endpoints struct {
	// basePath is the path below which all of the sidecar's endpoints live. The
	// redirect URI to register at the provider is publicURL + basePath +
	// /callback.
	// +optional
	// +kubebuilder:default=/bff
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^(/[A-Za-z0-9_-]+)+$')",message="basePath must be one or more plain segments such as /bff: letters, digits, - and _, no slash at the end"
	BasePath string `json:"basePath,omitempty"`
}

// HostType says where the application listens.
//
// +kubebuilder:validation:Enum=Localhost;PodIP
type HostType string

const (
	// HostLocalhost dials 127.0.0.1 (or ::1 in a pod without IPv4).
	HostLocalhost HostType = "Localhost"
	// HostPodIP dials the pod's own address, for applications that do not listen
	// on loopback.
	HostPodIP HostType = "PodIP"
)

// Application is the single-page application behind the sidecar.
//
// +kubebuilder:validation:XValidation:rule="type(self.port) == int ? self.port >= 1 && self.port <= 65535 : self.port.matches('^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$')",message="port must be a container port's name (at most 15 characters, lower case letters, digits and -) or a number from 1 to 65535"
// +kubebuilder:validation:XValidation:rule="type(self.port) == int || self.port.matches('[a-z]')",message="port is a number in quotes: write it without them, for example port: 8080"
// +kubebuilder:validation:XValidation:rule="type(self.port) == int ? !(self.port in [18080, 18081]) : !(self.port in ['bff', 'bff-admin'])",message="ports 18080 and 18081 and the port names bff and bff-admin are the sidecar's own: let the application use another port"
type Application struct {
	// port is the container port the application serves on. A name is taken over:
	// the application's port loses the name, the sidecar's port gets it, and every
	// Service with that named targetPort reaches the sidecar with no edit. A
	// number leaves the name alone: the sidecar's port is then called "bff" and
	// the Service must point there.
	// +required
	// +kubebuilder:validation:XIntOrString
	Port intstr.IntOrString `json:"port"`

	// host is where the application listens: Localhost (the default) or PodIP.
	// +optional
	// +kubebuilder:default=Localhost
	Host HostType `json:"host,omitempty"`

	// requireLogin sends navigations without a session to the login instead of to
	// the application. The default is false: the page itself is public, as the
	// code of a single-page application is, and only routes need a session.
	// +optional
	// +kubebuilder:default=false
	RequireLogin bool `json:"requireLogin,omitempty"`
}
