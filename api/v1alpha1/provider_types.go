package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Provider is the OpenID Provider, as seen by its relying party.
//
// +kubebuilder:validation:XValidation:rule="!has(self.requestObject) || self.requestObject != 'Signed' || has(self.clientAuthentication.privateKey)",message="requestObject Signed needs clientAuthentication.privateKey: the key that request objects are signed with"
// +kubebuilder:validation:XValidation:rule="!has(self.scopes) || 'openid' in self.scopes",message="scopes must contain openid: without it the provider issues no ID token"
type Provider struct {
	// issuerURL is the issuer identifier. Discovery is read from issuerURL +
	// /.well-known/openid-configuration, and the issuer named there and in every
	// ID token must be identical, character by character (OpenID Connect Discovery
	// section 4.3). Plain http is accepted for localhost, *.localhost and loopback
	// addresses alone.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getHost() != '' && !self.contains('?') && !self.contains('#') && !self.contains('@')",message="issuerURL must be an absolute URL without query, fragment or user, for example https://id.example.com"
	// +kubebuilder:validation:XValidation:rule="self.startsWith('https://') || self.matches('^http://(localhost|([a-z0-9-]+\\\\.)+localhost|127\\\\.[0-9]+\\\\.[0-9]+\\\\.[0-9]+|\\\\[::1\\\\])(:[0-9]{1,5})?(/.*)?$')",message="issuerURL must use https; http is accepted only for localhost, *.localhost and loopback addresses"
	IssuerURL string `json:"issuerURL"`

	// clientID is the client identifier registered at the provider.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	ClientID string `json:"clientID"`

	// clientAuthentication says how the sidecar authenticates at the provider. A
	// Backend for Frontend is a confidential client, so there is no default and no
	// way to leave it out (RFC 10017 section 6.1.3.1).
	// +required
	ClientAuthentication ClientAuthentication `json:"clientAuthentication"`

	// scopes are the scopes asked for at login. Add offline_access, where the
	// provider wants it, to get a refresh token.
	// +optional
	// +listType=set
	// +kubebuilder:default={openid}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^[\x21\x23-\x5B\x5D-\x7E]+$`
	Scopes []string `json:"scopes,omitempty"`

	// connectTo is host:port to dial for every call to the issuer's host and port,
	// with Host header, TLS server name and issuer unchanged. It is for
	// split-horizon networks, where the browser and the pod reach the provider by
	// different addresses.
	// +optional
	// +kubebuilder:validation:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\\\\[[0-9a-f:.]+\\\\]):[0-9]{1,5}$')",message="connectTo must be host:port, for example keycloak.id.svc:8443"
	ConnectTo string `json:"connectTo,omitempty"`

	// caBundle are certificate authorities in PEM that the provider's certificate is
	// verified against, in place of the usual ones. They are public, so they stand
	// here and not in a Secret.
	// +optional
	// +kubebuilder:validation:MaxLength=65536
	CABundle string `json:"caBundle,omitempty"`

	// idTokenSigningAlgorithms are the algorithms an ID token, logout token or
	// signed UserInfo answer may be signed with: those registered for this client
	// (OpenID Connect Core section 3.1.3.7, item 7). Left out, they are the
	// asymmetric ones that the provider advertises.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	IDTokenSigningAlgorithms []SigningAlgorithm `json:"idTokenSigningAlgorithms,omitempty"`

	// trustedAudiences are audiences that an ID token may name besides the client.
	// An ID token with any other audience is refused (OpenID Connect Core section
	// 3.1.3.7, item 3).
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	TrustedAudiences []string `json:"trustedAudiences,omitempty"`

	// clockSkew is how far the provider's clock and the sidecar's may differ when
	// a token's times are checked. From 0s to 5m.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('5m')",message="clockSkew must be a duration from 0s to 5m, for example 30s"
	ClockSkew *metav1.Duration `json:"clockSkew,omitempty"`

	// userInfo calls the UserInfo endpoint at login and adds its claims to those of
	// the ID token, if it is about the same subject (OpenID Connect Core section
	// 5.3). The default is Disabled.
	// +optional
	// +kubebuilder:default=Disabled
	UserInfo Switch `json:"userInfo,omitempty"`

	// responseMode is how the provider sends the browser back: query (the default)
	// or form_post (OAuth 2.0 Form Post Response Mode). form_post makes the cookie
	// of a login in progress SameSite=None, since the answer is then a cross-site
	// POST.
	// +optional
	// +kubebuilder:default=query
	ResponseMode ResponseMode `json:"responseMode,omitempty"`

	// pushedAuthorizationRequests says whether the authorization request is pushed
	// to the provider before the browser is sent there (RFC 9126): Auto (the
	// default: if the provider has the endpoint), Required or Disabled. If the
	// provider itself requires it, Disabled fails every login.
	// +optional
	// +kubebuilder:default=Auto
	PushedAuthorizationRequests PushedAuthorizationRequests `json:"pushedAuthorizationRequests,omitempty"`

	// requestObject is Signed to send the authorization request as a signed JWT
	// (RFC 9101). The default is Disabled.
	// +optional
	// +kubebuilder:default=Disabled
	RequestObject RequestObject `json:"requestObject,omitempty"`

	// dpop binds tokens to a key that only the sidecars have (RFC 9449). Preferred
	// goes on with a Bearer token if the provider issues one; Required refuses it.
	// The default is Disabled.
	// +optional
	// +kubebuilder:default=Disabled
	DPoP DPoPMode `json:"dpop,omitempty"`

	// resources are the resource indicators (RFC 8707) sent with the authorization
	// request: absolute URIs of the APIs the grant is for. A route narrows its
	// token to one of them by token.resource.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]+$`
	// +kubebuilder:validation:XValidation:rule="self.all(r, isURL(r) && r.matches('^[A-Za-z][A-Za-z0-9+.-]*:') && !r.contains('#'))",message="each resource must be an absolute URI without fragment, for example https://api.example.com/"
	Resources []string `json:"resources,omitempty"`

	// authorizationParameters are further parameters of every authorization request,
	// for what a provider wants beyond the standards: access_type=offline at Google,
	// audience at Auth0. None that the sidecar sets itself can stand here, but prompt
	// may: it is what logins ask for that ask for no other.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	AuthorizationParameters []AuthorizationParameter `json:"authorizationParameters,omitempty"`
}

// AuthorizationParameter is a parameter of the authorization request.
type AuthorizationParameter struct {
	// name of the parameter.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._-]+$`
	// +kubebuilder:validation:XValidation:rule="!(self in ['client_id', 'client_secret', 'client_assertion', 'client_assertion_type', 'redirect_uri', 'response_type', 'response_mode', 'scope', 'state', 'nonce', 'code_challenge', 'code_challenge_method', 'code_verifier', 'request', 'request_uri', 'resource', 'dpop_jkt', 'acr_values', 'max_age', 'id_token_hint', 'login_hint', 'ui_locales'])",message="this parameter is the sidecar's own: use the policy's other fields"
	Name string `json:"name"`

	// value of the parameter. It is no secret: every browser sees it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Value string `json:"value"`
}

// ReservedParameters are the parameters of an authorization request that no
// AuthorizationParameter may set.
var ReservedParameters = []string{
	"client_id", "client_secret", "client_assertion", "client_assertion_type", "redirect_uri", "response_type", "response_mode",
	"scope", "state", "nonce", "code_challenge", "code_challenge_method", "code_verifier", "request", "request_uri", "resource",
	"dpop_jkt", "acr_values", "max_age", "id_token_hint", "login_hint", "ui_locales",
}

// Switch turns something on or off.
//
// +kubebuilder:validation:Enum=Enabled;Disabled
type Switch string

// Values of Switch.
const (
	Enabled  Switch = "Enabled"
	Disabled Switch = "Disabled"
)

// SigningAlgorithm is an asymmetric JWS algorithm (RFC 7518, RFC 8037).
//
// +kubebuilder:validation:Enum=RS256;RS384;RS512;PS256;PS384;PS512;ES256;ES384;ES512;EdDSA
type SigningAlgorithm string

// ResponseMode is how an authorization response reaches the sidecar.
//
// +kubebuilder:validation:Enum=query;form_post
type ResponseMode string

// Values of ResponseMode.
const (
	ResponseModeQuery    ResponseMode = "query"
	ResponseModeFormPost ResponseMode = "form_post"
)

// PushedAuthorizationRequests says when to push (RFC 9126).
//
// +kubebuilder:validation:Enum=Auto;Required;Disabled
type PushedAuthorizationRequests string

// Values of PushedAuthorizationRequests.
const (
	PushAuto     PushedAuthorizationRequests = "Auto"
	PushRequired PushedAuthorizationRequests = "Required"
	PushDisabled PushedAuthorizationRequests = "Disabled"
)

// RequestObject says how the parameters of an authorization request are sent
// (RFC 9101).
//
// +kubebuilder:validation:Enum=Signed;Disabled
type RequestObject string

// Values of RequestObject.
const (
	RequestObjectSigned   RequestObject = "Signed"
	RequestObjectDisabled RequestObject = "Disabled"
)

// DPoPMode says whether tokens are bound to a key (RFC 9449).
//
// +kubebuilder:validation:Enum=Required;Preferred;Disabled
type DPoPMode string

// Values of DPoPMode.
const (
	DPoPRequired  DPoPMode = "Required"
	DPoPPreferred DPoPMode = "Preferred"
	DPoPDisabled  DPoPMode = "Disabled"
)
