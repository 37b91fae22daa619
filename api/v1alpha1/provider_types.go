package v1alpha1

// Provider is the OpenID Provider, as seen by its relying party.
//
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
}

// ClientAuthenticationMethod is a token endpoint authentication method by its
// registered name (IANA OAuth Token Endpoint Authentication Methods).
//
// +kubebuilder:validation:Enum=client_secret_basic;client_secret_post
type ClientAuthenticationMethod string

const (
	// ClientSecretBasic sends identifier and secret in the Authorization header,
	// each form-encoded first (RFC 6749 section 2.3.1).
	ClientSecretBasic ClientAuthenticationMethod = "client_secret_basic"
	// ClientSecretPost sends identifier and secret in the request body.
	ClientSecretPost ClientAuthenticationMethod = "client_secret_post"
)

// ClientAuthentication is how the sidecar proves to the provider which client
// it is.
type ClientAuthentication struct {
	// method is the method registered for this client at the provider.
	// +required
	Method ClientAuthenticationMethod `json:"method"`

	// secretRef names the client secret. The Secret is mounted into the pod, never
	// copied, and a new value is used without a restart.
	// +required
	SecretRef SecretKeyReference `json:"secretRef"`
}

// SecretKeyReference is one entry of a Secret in the policy's own namespace.
type SecretKeyReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name"`

	// key of the entry in the Secret's data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +kubebuilder:validation:XValidation:rule="self != '.' && !self.startsWith('..')",message="key must be the name of an entry in the Secret's data, not a path"
	Key string `json:"key"`
}
