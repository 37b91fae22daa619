package subjects

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/bench/internal/process"
	"github.com/bff-operator/bff-operator/hack/bench/internal/world"
)

// podMemory is the chart's memory limit of a sidecar, of which the operator makes
// nine tenths GOMEMLIMIT.
const podMemory = 128 << 20

// ours is a build of bff-sidecar with its sessions in Redis.
func ours(build Build) *Subject {
	s := &Subject{Name: build.Name, Title: "bff-sidecar, Redis", Ours: true, login: "/bff/login", callback: "/bff/callback"}
	if build.Name != Sidecar {
		s.Title += " (" + build.Name + ")"
	}
	s.start = func(_ context.Context, s *Subject, w *world.World) (*process.Process, error) {
		return startSidecar(s, w, build)
	}
	return s
}

// startSidecar mounts policy and secrets as a pod would have them, and starts
// the sidecar.
func startSidecar(s *Subject, w *world.World, build Build) (*process.Process, error) {
	dir := filepath.Join(w.Dir, s.Name)
	if err := mount(dir, s, w); err != nil {
		return nil, fmt.Errorf("mount files for %s: %w", s.Name, err)
	}
	admin, err := process.FreeAddress()
	if err != nil {
		return nil, err
	}
	env := append([]string{pod.EnvPodIP + "=127.0.0.1", "GOMEMLIMIT=" + strconv.Itoa(podMemory/10*9)}, build.Env...)
	command := slices.Concat(build.Under, []string{build.Path, "--policy", filepath.Join(dir, pod.PolicyFile),
		"--secrets", filepath.Join(dir, "secrets"), "--listen", s.Address, "--admin-listen", admin})
	return process.Start(w.Dir, s.Name, env, command[0], command[1:]...)
}

const (
	oidcSecret = "oidc"
	oidcKey    = "client-secret"
)

func mount(dir string, s *Subject, w *world.World) error {
	policy, err := policyOf(s, w)
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(policy)
	if err != nil {
		return err
	}
	ring, err := keyring.New(time.Now(), rand.Reader)
	if err != nil {
		return err
	}
	keys, err := ring.Marshal()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		pod.PolicyFile: text,
		filepath.Join("secrets", pod.SecretPath(pod.KeysSecretName, pod.KeyRingKey)): keys,
		filepath.Join("secrets", pod.SecretPath(oidcSecret, oidcKey)):                []byte(s.secret),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func policyOf(s *Subject, w *world.World) (*v1alpha1.BFFPolicy, error) {
	_, text, err := net.SplitHostPort(w.Upstream)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	return &v1alpha1.BFFPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "web", UID: types.UID(s.Name), Generation: 1},
		Spec: v1alpha1.BFFPolicySpec{
			Selector:    metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}},
			PublicURL:   "http://" + s.Address,
			Application: v1alpha1.Application{Port: intstr.FromInt(port)},
			Provider: v1alpha1.Provider{
				IssuerURL: w.Person.Issuer, ClientID: s.Name,
				ClientAuthentication: v1alpha1.ClientAuthentication{
					Method:    v1alpha1.ClientSecretBasic,
					SecretRef: &v1alpha1.SecretKeyReference{Name: oidcSecret, Key: oidcKey},
				},
				Scopes: []string{"openid", "profile", "email", "offline_access"},
			},
			Session: v1alpha1.Session{
				IdleTimeout: metav1.Duration{Duration: 30 * time.Minute}, Lifetime: metav1.Duration{Duration: 12 * time.Hour},
				Store: &v1alpha1.SessionStore{Type: v1alpha1.StoreRedis, Redis: &v1alpha1.RedisStore{Address: w.Redis}},
			},
			Routes: []v1alpha1.Route{{Name: "api", Path: "/authed", Upstream: v1alpha1.Upstream{URL: "http://" + w.Upstream}}},
		},
	}, nil
}
