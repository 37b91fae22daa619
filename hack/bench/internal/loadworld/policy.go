package loadworld

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

const (
	// Host is what the browser calls the application.
	Host = "shop.example.com"
	// SessionKeys is what the keys of sessions begin with in the store. Changes of
	// these are what sidecars have to be told.
	SessionKeys = "bff:{" + policyUID + "}:s:"

	policyUID   = "6f9619ff-8b86-4d11-b42d-00c04fc964ff"
	callbackURL = "https://" + Host + "/bff/callback"

	clientID   = "shop"
	secretName = "shop-oidc"
	secretKey  = "client-secret"
	policyFile = "policy.yaml"
	secretsDir = "secrets"
)

// policyOf is a policy with one route, /api, that wants an access token.
func policyOf(issuer, upstream, redis string, idle time.Duration) (*v1alpha1.BFFPolicy, error) {
	_, port, err := net.SplitHostPort(upstream)
	if err != nil {
		return nil, fmt.Errorf("write the policy: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("write the policy: %w", err)
	}
	return &v1alpha1.BFFPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "web", UID: types.UID(policyUID), Generation: 1},
		Spec: v1alpha1.BFFPolicySpec{
			Selector:    metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}},
			PublicURL:   "https://" + Host,
			Application: v1alpha1.Application{Port: intstr.FromInt(number)},
			Provider: v1alpha1.Provider{
				IssuerURL: issuer, ClientID: clientID,
				ClientAuthentication: v1alpha1.ClientAuthentication{Method: v1alpha1.ClientSecretBasic,
					SecretRef: &v1alpha1.SecretKeyReference{Name: secretName, Key: secretKey}},
				Scopes: []string{"openid", "profile", "email", "offline_access"},
			},
			Session: v1alpha1.Session{
				IdleTimeout: metav1.Duration{Duration: idle}, Lifetime: metav1.Duration{Duration: 12 * time.Hour},
				Store: &v1alpha1.SessionStore{Type: v1alpha1.StoreRedis, Redis: &v1alpha1.RedisStore{Address: redis}},
			},
			Routes: []v1alpha1.Route{{Name: "api", Path: "/api", Upstream: v1alpha1.Upstream{URL: "http://" + upstream}}},
		},
	}, nil
}

// mount writes what the kubelet would mount into a pod.
func mount(dir string, policy *v1alpha1.BFFPolicy, clientSecret string) error {
	text, err := yaml.Marshal(policy)
	if err != nil {
		return fmt.Errorf("write the policy: %w", err)
	}
	ring, err := keyring.New(time.Now(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key ring: %w", err)
	}
	keys, err := ring.Marshal()
	if err != nil {
		return fmt.Errorf("write the key ring: %w", err)
	}
	for path, content := range map[string][]byte{
		policyFile: text,
		filepath.Join(secretsDir, pod.SecretPath(pod.KeysSecretName, pod.KeyRingKey)): keys,
		filepath.Join(secretsDir, pod.SecretPath(secretName, secretKey)):              []byte(clientSecret),
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("mount files: %w", err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return fmt.Errorf("mount files: %w", err)
		}
	}
	return nil
}
