package webhook_test

import (
	"context"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/controlplane"
	"github.com/bff-operator/bff-operator/webhook"
)

var plane *controlplane.Plane

func TestMain(m *testing.M) {
	log.SetLogger(klog.Background())
	os.Exit(controlplane.Main(m, &plane))
}

// sidecar is what the installation of these tests injects. It has no store.
var sidecar = webhook.Sidecar{
	Image:           "registry.example.com/bff-sidecar:v1",
	ImagePullPolicy: corev1.PullIfNotPresent,
	Resources: corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")},
	},
	Version: "v1",
}

// options of a webhook that config/webhook leads to.
func options(port int) webhook.Options {
	return webhook.Options{
		Host:              "localhost",
		Port:              port,
		Namespace:         controlplane.OperatorNamespace,
		ServiceName:       "bff-operator-webhook",
		ConfigurationName: "bff-operator",
		CASecretName:      "bff-operator-webhook-ca",
		Sidecar:           sidecar,
	}
}

// serve runs a webhook with the rights of config/rbac until the test is over.
func serve(t *testing.T, port int) *webhook.Webhook {
	t.Helper()
	hook := webhook.New(options(port))
	mgr, err := manager.New(plane.Operator(t), manager.Options{
		Scheme:        plane.Scheme,
		Cache:         cache.Options{ByObject: hook.CacheOptions(), ReaderFailOnMissingInformer: true},
		Client:        client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Metrics:       metricsserver.Options{BindAddress: "0"},
		WebhookServer: hook.Server(),
		Controller:    config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := hook.Setup(t.Context(), mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the webhook ended with %v", err)
		}
	})
	return hook
}

// ready waits until a webhook says it is.
func ready(t *testing.T, hook *webhook.Webhook) {
	t.Helper()
	controlplane.Eventually(t, func(context.Context) error { return hook.Ready(nil) })
}

// shop is a policy for pods with the label app=shop.
func shop(namespace, name string) *v1alpha1.BFFPolicy {
	return &v1alpha1.BFFPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.BFFPolicySpec{
			Selector:    metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}},
			PublicURL:   "https://shop.example.com",
			Application: v1alpha1.Application{Port: intstr.FromString("http")},
			Provider: v1alpha1.Provider{
				IssuerURL: "https://id.example.com",
				ClientID:  "shop",
				ClientAuthentication: v1alpha1.ClientAuthentication{
					Method:    v1alpha1.ClientSecretBasic,
					SecretRef: &v1alpha1.SecretKeyReference{Name: "shop-oidc", Key: "client-secret"},
				},
			},
			Session: v1alpha1.Session{Store: &v1alpha1.SessionStore{Type: v1alpha1.StoreMemory}},
		},
	}
}

// newPod is a labelled pod of the shop, as a Deployment creates it: without a
// name. It keeps to the restricted Pod Security Standard.
func newPod(namespace string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, GenerateName: "shop-",
			Labels: map[string]string{"app": "shop", v1alpha1.LabelInject: v1alpha1.LabelInjectTrue},
		},
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   ptr.To(true),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "app", Image: "registry.example.com/shop:1",
				Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: ptr.To(false),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}
