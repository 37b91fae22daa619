// Package controlplane is a real API server with etcd behind it, for tests. It
// has the product's CRD, and users with exactly the rights of config/rbac.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// OperatorNamespace is where config/rbac expects the operator.
const OperatorNamespace = "bff-system"

// Patience is how long a test waits for something that must happen.
const Patience = 30 * time.Second

// Plane is a running control plane.
type Plane struct {
	// Config and Client are those of an administrator.
	Config *rest.Config
	Client client.Client
	Scheme *runtime.Scheme

	environment *envtest.Environment
	root        string
	operators   atomic.Int64
}

// Main runs the tests of a package with a control plane, which is at *plane
// while they run. It returns the exit code.
func Main(m *testing.M, plane **Plane) int {
	started, err := start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*plane = started
	code := m.Run()
	if err := started.environment.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the control plane:", err)
		return 1
	}
	return code
}

func start() (*Plane, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("KUBEBUILDER_ASSETS is not set: these tests need kube-apiserver and etcd. Run them by `make test`, which builds both")
	}
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	p := &Plane{Scheme: scheme, root: root, environment: &envtest.Environment{
		Scheme:                   scheme,
		CRDDirectoryPaths:        []string{filepath.Join(root, "config", "crd")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: time.Minute,
	}}
	if p.Config, err = p.environment.Start(); err != nil {
		return nil, fmt.Errorf("start the control plane: %w", err)
	}
	if p.Client, err = client.New(p.Config, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	ctx := context.Background()
	if err := p.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: OperatorNamespace}}); err != nil {
		return nil, err
	}
	return p, p.installRoles(ctx)
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the tests do not run inside the module")
		}
		dir = parent
	}
}

// installRoles creates the roles of config/rbac as they are.
func (p *Plane) installRoles(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(p.root, "config", "rbac", "role.yaml"))
	if err != nil {
		return err
	}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			return err
		}
		var role client.Object
		switch kind.Kind {
		case "ClusterRole":
			role = &rbacv1.ClusterRole{}
		case "Role":
			role = &rbacv1.Role{}
		default:
			return fmt.Errorf("role.yaml holds a %q", kind.Kind)
		}
		if err := yaml.UnmarshalStrict([]byte(document), role); err != nil {
			return err
		}
		if err := p.Client.Create(ctx, role); err != nil {
			return err
		}
	}
	return nil
}

// Operator is a new user with the rights of config/rbac and no other.
func (p *Plane) Operator(t testing.TB) *rest.Config {
	t.Helper()
	name := fmt.Sprint("operator-", p.operators.Add(1))
	user, err := p.environment.AddUser(envtest.User{Name: name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}}
	role := func(kind string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: "bff-operator"}
	}
	p.Create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: subjects, RoleRef: role("ClusterRole"),
	})
	p.Create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: OperatorNamespace}, Subjects: subjects, RoleRef: role("Role"),
	})
	return user.Config()
}

// KubeConfig writes a kubeconfig file for a user and returns its name.
func (p *Plane) KubeConfig(t testing.TB, config *rest.Config) string {
	t.Helper()
	text, err := kubeConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Namespace makes a namespace of the test's own.
func (p *Plane) Namespace(t testing.TB) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	p.Create(t, namespace)
	return namespace.Name
}

// Create creates an object as the administrator.
func (p *Plane) Create(t testing.TB, object client.Object) {
	t.Helper()
	if err := p.Client.Create(t.Context(), object); err != nil {
		t.Fatalf("create %T %s: %v", object, object.GetName(), err)
	}
}

// Eventually tries until there is no error, for as long as Patience.
func Eventually(t testing.TB, try func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("after %v: %v", Patience, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Always fails when an error comes up within the given time.
func Always(t testing.TB, during time.Duration, try func(ctx context.Context) error) {
	t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		if err := try(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
