package config

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
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
	s := &Snapshot{Policy: policy, PublicURL: public, Secrets: secrets, ApplicationAddress: applicationAddress, Hash: hash}
	if err := s.parse(&policy.Spec); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return s, nil
}

// parse reads what is written in a form of its own. All of it was validated.
func (s *Snapshot) parse(spec *v1alpha1.BFFPolicySpec) (err error) {
	if s.ProviderCAs, err = poolOf(spec.Provider.CABundle); err != nil {
		return fmt.Errorf("spec.provider.caBundle: %w", err)
	}
	if redis := spec.Session.Store.Redis; redis != nil {
		if s.StoreCAs, err = poolOf(redis.CABundle); err != nil {
			return fmt.Errorf("spec.session.store.redis.caBundle: %w", err)
		}
	}
	s.UpstreamCAs = make(map[string]*x509.CertPool)
	for _, route := range spec.Routes {
		pool, err := poolOf(route.Upstream.CABundle)
		if err != nil {
			return fmt.Errorf("caBundle of route %q: %w", route.Name, err)
		}
		if pool != nil {
			s.UpstreamCAs[route.Name] = pool
		}
	}
	for _, network := range spec.TrustedProxies {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return fmt.Errorf("spec.trustedProxies: %q is no network", network)
		}
		s.TrustedProxies = append(s.TrustedProxies, prefix.Masked())
	}
	return nil
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
	secrets := secretReader{at: at}
	secrets.readAll(policy)
	files = append(files, secrets.files...)
	if secrets.err != nil {
		return nil, files, secrets.err
	}
	address, err := at.applicationAddress(&policy.Spec.Application)
	if err != nil {
		return nil, files, err
	}
	s, err := NewSnapshot(policy, secrets.Secrets, address, HashOf(data))
	return s, files, err
}

// HashOf identifies a policy's text.
func HashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
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
