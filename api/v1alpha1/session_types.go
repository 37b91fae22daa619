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

	// store is where sealed sessions live. Left out, it is the store the operator
	// was installed with.
	// +optional
	Store *SessionStore `json:"store,omitempty"`
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

// RedisStore is a Redis or Valkey server.
type RedisStore struct {
	// address is host:port of the server.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\\\\[[0-9a-fA-F:.]+\\\\]):[0-9]{1,5}$')",message="address must be host:port, for example valkey.cache.svc:6379"
	Address string `json:"address"`

	// username is the ACL user to log in as. Left out, it is the server's default
	// user.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Username string `json:"username,omitempty"`

	// passwordSecretRef names the password. Left out, no password is sent.
	// +optional
	PasswordSecretRef *SecretKeyReference `json:"passwordSecretRef,omitempty"`

	// tls encrypts the connection and verifies the server against the usual
	// certificate authorities. The default is Disabled, for a server inside the
	// cluster; records are sealed before they are sent either way.
	// +optional
	// +kubebuilder:default=Disabled
	TLS StoreTLS `json:"tls,omitempty"`
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
