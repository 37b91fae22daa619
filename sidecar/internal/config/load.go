package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
)

// Location is where the configuration is. In a pod it is made of the constants
// of package pod.
type Location struct {
	// PolicyFile is the file with the policy.
	PolicyFile string
	// SecretsDir holds a file <name>/<key> for every entry of a Secret the policy
	// names, and the key ring.
	SecretsDir string
	// ApplicationPort is the application's port, which a policy may call by a name
	// that only the pod can resolve. Used only then.
	ApplicationPort string
	// PodIP is the pod's own address. Used only when the application does not
	// listen on loopback.
	PodIP string
}

// ErrInvalid is wrapped by every error about what a policy says, as opposed to
// a file that cannot be read.
var ErrInvalid = errors.New("the policy is not valid")

// Secrets are what a policy names and does not hold.
type Secrets struct {
	Client, StorePassword secret.String
	Ring                  *keyring.Ring
}

// NewSnapshot makes a snapshot of a policy, which gets its defaults here, and
// its secrets. hash identifies the policy's text. The error wraps ErrInvalid
// and says every thing that is wrong with the policy.
func NewSnapshot(policy *v1alpha1.BFFPolicy, secrets Secrets, applicationAddress, hash string) (*Snapshot, error) {
	policy = Defaulted(policy)
	if problems := Validate(policy); len(problems) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, errors.Join(problems...))
	}
	public, err := parseOrigin(policy.Spec.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("%w: spec.publicURL: %w", ErrInvalid, err)
	}
	return &Snapshot{
		Policy: policy, PublicURL: public, ClientSecret: secrets.Client, StorePassword: secrets.StorePassword, Ring: secrets.Ring,
		ApplicationAddress: applicationAddress, Hash: hash,
	}, nil
}

// Load reads everything once. It also returns the files it depends on, even
// when it fails. Its error says every thing that is wrong with the policy.
func (at Location) Load() (*Snapshot, []string, error) {
	files := []string{at.PolicyFile}
	data, err := read(at.PolicyFile, maxPolicySize)
	if err != nil {
		return nil, files, fmt.Errorf("read policy: %w", err)
	}
	policy, err := Decode(data)
	if err != nil {
		return nil, files, fmt.Errorf("%w: %s: %w", ErrInvalid, at.PolicyFile, err)
	}
	policy = Defaulted(policy)
	if problems := Validate(policy); len(problems) > 0 { // before anything it names is looked at
		return nil, files, fmt.Errorf("%w: %s: %w", ErrInvalid, at.PolicyFile, errors.Join(problems...))
	}
	files = append(files, at.secretFiles(policy)...)
	secrets, err := at.secrets(policy)
	if err != nil {
		return nil, files, err
	}
	address, err := at.applicationAddress(&policy.Spec.Application)
	if err != nil {
		return nil, files, err
	}
	s, err := NewSnapshot(policy, secrets, address, HashOf(data))
	return s, files, err
}

// HashOf identifies a policy's text.
func HashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

func (at Location) secretFiles(policy *v1alpha1.BFFPolicy) []string {
	files := []string{at.secretFile(v1alpha1.SecretKeyReference{Name: pod.KeysSecretName, Key: pod.KeyRingKey})}
	for _, ref := range policy.Spec.SecretReferences() {
		files = append(files, at.secretFile(ref))
	}
	return files
}

func (at Location) secretFile(ref v1alpha1.SecretKeyReference) string {
	return filepath.Join(at.SecretsDir, filepath.FromSlash(pod.SecretPath(ref.Name, ref.Key)))
}

func (at Location) secrets(policy *v1alpha1.BFFPolicy) (Secrets, error) {
	var s Secrets
	ring, err := read(at.secretFile(v1alpha1.SecretKeyReference{Name: pod.KeysSecretName, Key: pod.KeyRingKey}), maxSecretSize)
	if err != nil {
		return s, fmt.Errorf("read key ring: %w", err)
	}
	if s.Ring, err = keyring.Parse(ring); err != nil {
		return s, fmt.Errorf("read key ring of Secret %q: %w", pod.KeysSecretName, err)
	}
	client, err := readSecret(at.secretFile(policy.Spec.Provider.ClientAuthentication.SecretRef))
	if err != nil {
		return s, fmt.Errorf("read client secret: %w", err)
	}
	s.Client = secret.New(client)
	if r := policy.Spec.Session.Store.Redis; r != nil && r.PasswordSecretRef != nil {
		password, err := readSecret(at.secretFile(*r.PasswordSecretRef))
		if err != nil {
			return s, fmt.Errorf("read session store password: %w", err)
		}
		s.StorePassword = secret.New(password)
	}
	return s, nil
}

func (at Location) applicationAddress(a *v1alpha1.Application) (string, error) {
	port := at.ApplicationPort
	if a.Port.Type == intstr.Int {
		port = strconv.Itoa(a.Port.IntValue())
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%w: spec.application.port names port %q: set %s to its number, which is %q now",
			ErrInvalid, a.Port.StrVal, pod.EnvApplicationPort, port)
	}
	if a.Host != v1alpha1.HostPodIP {
		return net.JoinHostPort("localhost", port), nil
	}
	address, err := netip.ParseAddr(at.PodIP)
	if err != nil {
		return "", fmt.Errorf("%w: spec.application.host is PodIP: set %s to the pod's address, which is %q now",
			ErrInvalid, pod.EnvPodIP, at.PodIP)
	}
	return net.JoinHostPort(address.String(), port), nil
}
