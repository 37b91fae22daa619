package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Session says how long a login lasts and where it is kept.
//
// +kubebuilder:validation:XValidation:rule="!has(self.idleTimeout) || !has(self.lifetime) || duration(self.idleTimeout) <= duration(self.lifetime)",message="idleTimeout must not be longer than lifetime"
type Session struct {
	// idleTimeout ends a session that made no call for this long. Asking for the
	// session's state does not count as a call. From 1m to 720h.
	// +optional
	// +kubebuilder:default="30m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('720h')",message="idleTimeout must be a duration from 1m to 720h, for example 30m"
	IdleTimeout metav1.Duration `json:"idleTimeout,omitzero"`

	// lifetime ends a session this long after its login, used or not. It should
	// not be longer than the provider's refresh tokens live (RFC 10017 section
	// 6.1.2.2). From 1m to 720h.
	// +optional
	// +kubebuilder:default="12h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('720h')",message="lifetime must be a duration from 1m to 720h, for example 12h"
	Lifetime metav1.Duration `json:"lifetime,omitzero"`

	// claims are the claims of the ID token, and of UserInfo if that is asked, that
	// the page may see at the session endpoint. Left out, they are the standard ones
	// about a person (OpenID Connect Core section 5.1) without address and phone.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Claims []string `json:"claims,omitempty"`

	// binding ties a session to the client network it was made from.
	// +optional
	// +kubebuilder:default={}
	Binding SessionBinding `json:"binding,omitzero"`

	// maxPerUser is how many sessions one user may have at once. One more ends the
	// oldest. 0, the default, is no limit.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	MaxPerUser int32 `json:"maxPerUser,omitempty"`

	// outageGrace is how long a sidecar goes on serving the sessions it has lately
	// used while the session store cannot be reached. Other sessions get 503. From
	// 0s to 24h.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="outageGrace must be a duration from 0s to 24h, for example 10m"
	OutageGrace *metav1.Duration `json:"outageGrace,omitempty"`

	// store is where sealed sessions live. Left out, it is the store the operator
	// was installed with.
	// +optional
	Store *SessionStore `json:"store,omitempty"`
}

// BindingMode says what happens when a session is used from another client
// network than it was made from.
//
// +kubebuilder:validation:Enum=Disabled;Audit;Reauthenticate;Terminate
type BindingMode string

// Values of BindingMode.
const (
	// BindingDisabled: nothing.
	BindingDisabled BindingMode = "Disabled"
	// BindingAudit: an audit event, and the call goes on.
	BindingAudit BindingMode = "Audit"
	// BindingReauthenticate: the call gets 401 and the session stays. A login from
	// the new network makes another one.
	BindingReauthenticate BindingMode = "Reauthenticate"
	// BindingTerminate: the session ends.
	BindingTerminate BindingMode = "Terminate"
)

// SessionBinding ties a session to the network of the client's address. A
// stolen cookie is then of no use elsewhere; a phone that changes from one
// network to another has to log in again, so start with Audit.
type SessionBinding struct {
	// mode says what happens when the network differs: Disabled (the default),
	// Audit, Reauthenticate or Terminate.
	// +optional
	// +kubebuilder:default=Disabled
	Mode BindingMode `json:"mode,omitempty"`

	// ipv4PrefixLength is how many bits of an IPv4 address must stay the same, from
	// 8 to 32. The default is 24.
	// +optional
	// +kubebuilder:default=24
	// +kubebuilder:validation:Minimum=8
	// +kubebuilder:validation:Maximum=32
	IPv4PrefixLength int32 `json:"ipv4PrefixLength,omitempty"`

	// ipv6PrefixLength is how many bits of an IPv6 address must stay the same, from
	// 16 to 128. The default is 56.
	// +optional
	// +kubebuilder:default=56
	// +kubebuilder:validation:Minimum=16
	// +kubebuilder:validation:Maximum=128
	IPv6PrefixLength int32 `json:"ipv6PrefixLength,omitempty"`
}

// StoreType is a kind of session store.
//
// +kubebuilder:validation:Enum=Memory;Redis
type StoreType string

const (
	// StoreMemory keeps sessions in the sidecar's memory. They end with the pod
	// and are not seen by other replicas: for one replica, or a laptop.
	StoreMemory StoreType = "Memory"
	// StoreRedis keeps sessions in a Redis or Valkey server that all replicas
	// share.
	StoreRedis StoreType = "Redis"
)

// SessionStore is where sealed sessions live.
//
// +kubebuilder:validation:XValidation:rule="self.type == 'Redis' ? has(self.redis) : !has(self.redis)",message="redis must be set when type is Redis, and only then"
type SessionStore struct {
	// type is Redis (Redis or Valkey, shared by all replicas) or Memory (one
	// replica, gone with the pod).
	// +required
	Type StoreType `json:"type"`

	// redis says how to reach the server. Only with type Redis.
	// +optional
	Redis *RedisStore `json:"redis,omitempty"`
}

// RedisTopology says how the servers of a store work together.
//
// +kubebuilder:validation:Enum=Standalone;Sentinel;Cluster
type RedisTopology string

// Values of RedisTopology.
const (
	// RedisStandalone is one server.
	RedisStandalone RedisTopology = "Standalone"
	// RedisSentinel is a primary that Sentinels name.
	RedisSentinel RedisTopology = "Sentinel"
	// RedisCluster is a Redis or Valkey Cluster.
	RedisCluster RedisTopology = "Cluster"
)

// RedisStore is a Redis or Valkey server, or several that work together.
//
// +kubebuilder:validation:XValidation:rule="(has(self.topology) && self.topology == 'Sentinel') == has(self.sentinel)",message="sentinel must be set when topology is Sentinel, and only then"
// +kubebuilder:validation:XValidation:rule="!has(self.additionalAddresses) || (has(self.topology) && self.topology != 'Standalone')",message="additionalAddresses are for the topologies Sentinel and Cluster"
// +kubebuilder:validation:XValidation:rule="(!has(self.caBundle) && !has(self.clientCertificateRef)) || (has(self.tls) && self.tls == 'Enabled')",message="caBundle and clientCertificateRef need tls: Enabled"
type RedisStore struct {
	// topology is Standalone (the default), Sentinel or Cluster.
	// +optional
	// +kubebuilder:default=Standalone
	Topology RedisTopology `json:"topology,omitempty"`

	// address is host:port of the server, of a Sentinel, or of a node of the
	// Cluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\\\\[[0-9a-fA-F:.]+\\\\]):[0-9]{1,5}$')",message="address must be host:port, for example valkey.cache.svc:6379"
	Address string `json:"address"`

	// additionalAddresses are further Sentinels or nodes of the Cluster, to ask when
	// the first cannot be reached.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="self.all(a, a.matches('^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\\\\[[0-9a-fA-F:.]+\\\\]):[0-9]{1,5}$'))",message="each of additionalAddresses must be host:port, for example valkey-1.cache.svc:6379"
	AdditionalAddresses []string `json:"additionalAddresses,omitempty"`

	// sentinel says which primary to ask the Sentinels for. Only with topology
	// Sentinel.
	// +optional
	Sentinel *RedisSentinelOptions `json:"sentinel,omitempty"`

	// username is the ACL user to log in as. Left out, it is the server's default
	// user.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Username string `json:"username,omitempty"`

	// passwordSecretRef names the password. Left out, no password is sent.
	// +optional
	PasswordSecretRef *SecretKeyReference `json:"passwordSecretRef,omitempty"`

	// caBundle are certificate authorities in PEM that the servers' certificates are
	// verified against, in place of the usual ones. Only with tls: Enabled.
	// +optional
	// +kubebuilder:validation:MaxLength=65536
	CABundle string `json:"caBundle,omitempty"`

	// clientCertificateRef names a Secret of type kubernetes.io/tls with the
	// certificate to show to the servers. Only with tls: Enabled.
	// +optional
	ClientCertificateRef *CertificateReference `json:"clientCertificateRef,omitempty"`

	// tls encrypts the connection and verifies the server against the usual
	// certificate authorities. The default is Disabled, for a server inside the
	// cluster; records are sealed before they are sent either way.
	// +optional
	// +kubebuilder:default=Disabled
	TLS StoreTLS `json:"tls,omitempty"`
}

// RedisSentinelOptions are what Sentinels are asked and how.
type RedisSentinelOptions struct {
	// masterName is the name the Sentinels know the primary by.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	MasterName string `json:"masterName"`

	// username is the ACL user to log in as at the Sentinels. Left out, it is their
	// default user.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Username string `json:"username,omitempty"`

	// passwordSecretRef names the Sentinels' password. Left out, no password is sent
	// to them.
	// +optional
	PasswordSecretRef *SecretKeyReference `json:"passwordSecretRef,omitempty"`
}

// StoreTLS says whether the connection to the store uses TLS.
//
// +kubebuilder:validation:Enum=Disabled;Enabled
type StoreTLS string

const (
	// StoreTLSDisabled connects in clear.
	StoreTLSDisabled StoreTLS = "Disabled"
	// StoreTLSEnabled connects by TLS 1.2 or newer.
	StoreTLSEnabled StoreTLS = "Enabled"
)
