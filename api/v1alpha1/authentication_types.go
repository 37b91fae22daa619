package v1alpha1

// ClientAuthenticationMethod is how a client authenticates at the token
// endpoint, by its registered name (IANA OAuth Token Endpoint Authentication
// Methods), or workload_identity.
//
// +kubebuilder:validation:Enum=client_secret_basic;client_secret_post;client_secret_jwt;private_key_jwt;tls_client_auth;self_signed_tls_client_auth;workload_identity
type ClientAuthenticationMethod string

const (
	// ClientSecretBasic sends identifier and secret in the Authorization header,
	// each form-encoded first (RFC 6749 section 2.3.1).
	ClientSecretBasic ClientAuthenticationMethod = "client_secret_basic"
	// ClientSecretPost sends identifier and secret in the request body.
	ClientSecretPost ClientAuthenticationMethod = "client_secret_post"
	// ClientSecretJWT sends an assertion made with the secret by HS256 (OpenID
	// Connect Core section 9).
	ClientSecretJWT ClientAuthenticationMethod = "client_secret_jwt"
	// PrivateKeyJWT sends an assertion signed with a private key (RFC 7523).
	PrivateKeyJWT ClientAuthenticationMethod = "private_key_jwt"
	// TLSClientAuth shows a certificate that an authority the provider trusts has
	// issued (RFC 8705 section 2.1).
	TLSClientAuth ClientAuthenticationMethod = "tls_client_auth"
	// SelfSignedTLSClientAuth shows a certificate that is registered itself (RFC
	// 8705 section 2.2).
	SelfSignedTLSClientAuth ClientAuthenticationMethod = "self_signed_tls_client_auth"
	// WorkloadIdentity sends the token of the pod's service account as assertion
	// (RFC 7523 section 2.2): there is no secret to keep.
	WorkloadIdentity ClientAuthenticationMethod = "workload_identity"
)

// ClientAuthentication is how the sidecar proves to the provider which client
// it is.
//
// +kubebuilder:validation:XValidation:rule="self.method.startsWith('client_secret_') == has(self.secretRef)",message="secretRef must be set with the methods client_secret_basic, client_secret_post and client_secret_jwt, and only with them"
// +kubebuilder:validation:XValidation:rule="self.method != 'private_key_jwt' || has(self.privateKey)",message="privateKey must be set with the method private_key_jwt"
// +kubebuilder:validation:XValidation:rule="(self.method in ['tls_client_auth', 'self_signed_tls_client_auth']) == has(self.certificateRef)",message="certificateRef must be set with the methods tls_client_auth and self_signed_tls_client_auth, and only with them"
// +kubebuilder:validation:XValidation:rule="(self.method == 'workload_identity') == has(self.workloadIdentity)",message="workloadIdentity must be set with the method workload_identity, and only with it"
type ClientAuthentication struct {
	// method is the method registered for this client at the provider.
	// +required
	Method ClientAuthenticationMethod `json:"method"`

	// secretRef names the client secret. The Secret is mounted into the pod, never
	// copied, and a new value is used without a restart.
	// +optional
	SecretRef *SecretKeyReference `json:"secretRef,omitempty"`

	// privateKey is the key that client assertions (method private_key_jwt) and
	// request objects are signed with. A new key is used without a restart.
	// +optional
	PrivateKey *PrivateKey `json:"privateKey,omitempty"`

	// certificateRef names a Secret of type kubernetes.io/tls with the certificate
	// to show. A renewed certificate is used without a restart.
	// +optional
	CertificateRef *CertificateReference `json:"certificateRef,omitempty"`

	// workloadIdentity says which service-account token to send.
	// +optional
	WorkloadIdentity *WorkloadIdentityToken `json:"workloadIdentity,omitempty"`

	// assertionAudience is whom a client assertion is for: Issuer (the default: the
	// issuer identifier, as RFC 7523's successor and FAPI 2.0 demand) or
	// TokenEndpoint (its URL, and without the explicit type, for older providers).
	// +optional
	// +kubebuilder:default=Issuer
	AssertionAudience AssertionAudience `json:"assertionAudience,omitempty"`
}

// AssertionAudience is whom a client assertion is for.
//
// +kubebuilder:validation:Enum=Issuer;TokenEndpoint
type AssertionAudience string

// Values of AssertionAudience.
const (
	AudienceIssuer        AssertionAudience = "Issuer"
	AudienceTokenEndpoint AssertionAudience = "TokenEndpoint"
)

// PrivateKey is a key to sign with.
type PrivateKey struct {
	// secretRef names the entry with the key in PEM: PKCS #8, PKCS #1 or SEC 1. RSA
	// from 2048 bits, P-256, P-384, P-521 or Ed25519.
	// +required
	SecretRef SecretKeyReference `json:"secretRef"`

	// keyID is the kid the public key is registered under. Left out, it is the
	// key's JWK thumbprint (RFC 7638).
	// +optional
	// +kubebuilder:validation:MaxLength=256
	KeyID string `json:"keyID,omitempty"`

	// algorithm to sign with. Left out, it follows from the key: PS256, ES256,
	// ES384, ES512 or EdDSA.
	// +optional
	Algorithm SigningAlgorithm `json:"algorithm,omitempty"`
}

// CertificateReference is a Secret of type kubernetes.io/tls in the policy's own
// namespace.
type CertificateReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name"`
}

// WorkloadIdentityToken is a token of the pod's service account that the kubelet
// mounts and renews.
type WorkloadIdentityToken struct {
	// audience of the token: what the provider expects, often its issuer URL.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Audience string `json:"audience"`

	// expirationSeconds is how long a token lives, from 600 to 86400. The default
	// is 3600.
	// +optional
	// +kubebuilder:default=3600
	// +kubebuilder:validation:Minimum=600
	// +kubebuilder:validation:Maximum=86400
	ExpirationSeconds int64 `json:"expirationSeconds,omitempty"`
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

// Entries of a Secret of type kubernetes.io/tls.
const (
	certificateKey    = "tls.crt"
	certificateKeyKey = "tls.key"
)

// Certificate is the entry with the certificate chain in PEM.
func (r CertificateReference) Certificate() SecretKeyReference {
	return SecretKeyReference{Name: r.Name, Key: certificateKey}
}

// PrivateKey is the entry with the certificate's private key in PEM.
func (r CertificateReference) PrivateKey() SecretKeyReference {
	return SecretKeyReference{Name: r.Name, Key: certificateKeyKey}
}
