// Package pod is the shape of an injected pod: the names, ports and paths that
// the operator writes into a pod and the sidecar finds there.
package pod

import "path"

// ContainerName is the name of the sidecar's container.
const ContainerName = "bff"

// PortName is the name of the sidecar's traffic port when the policy names the
// application's port by number, so that no name is taken over.
const PortName = "bff"

// Ports the sidecar listens on.
const (
	// TrafficPort serves the browser.
	TrafficPort = 18080
	// AdminPort serves probes, metrics and status. It speaks to the kubelet and to
	// whoever scrapes, never to the browser.
	AdminPort = 18081
	// AdminPortName is the admin port's name in the pod.
	AdminPortName = "bff-admin"
)

// Volumes and where they are mounted. Nothing is mounted by subPath, since the
// kubelet never refreshes such a mount.
const (
	// PolicyVolume is the volume with the rendered policy.
	PolicyVolume = "bff-policy"
	// SecretsVolume is the projected volume with every Secret the policy names.
	SecretsVolume = "bff-secrets"

	// PolicyDir is where PolicyVolume is mounted.
	PolicyDir = "/var/run/bff/policy"
	// PolicyFile is the rendered policy's file in PolicyDir, and its key in the
	// ConfigMap. It holds a BFFPolicy in YAML (or JSON, which is YAML).
	PolicyFile = "policy.yaml"
	// SecretsDir is where SecretsVolume is mounted.
	SecretsDir = "/var/run/bff/secrets"
)

// KeysSecretName is the Secret the operator keeps in every namespace with a
// policy. It is mounted like any Secret a policy names.
const KeysSecretName = "bff-operator-keys"

// Entries of the Secret named KeysSecretName.
const (
	// KeyRingKey holds the key ring, in the format of package keyring.
	KeyRingKey = "keyring.json"
	// StorePasswordKey holds the password of the operator's own session store. It
	// is there only when that store has one.
	StorePasswordKey = "store-password"
)

// ServiceAccountTokenPath is the file, relative to SecretsDir, with the token of
// the pod's service account, where the policy asks for one. Its directory's name
// is none a Secret can have.
const ServiceAccountTokenPath = "_service-account/token"

// Environment variables the operator sets on the sidecar.
const (
	// EnvPodIP is the pod's address, for applications that do not listen on
	// loopback.
	EnvPodIP = "BFF_POD_IP"
	// EnvApplicationPort is the number of the application's port. The policy may
	// name it; only the pod knows the number.
	EnvApplicationPort = "BFF_APPLICATION_PORT"
)

// SecretPath is the file, relative to SecretsDir, with one entry of one
// Secret.
func SecretPath(name, key string) string { return path.Join(name, key) }
