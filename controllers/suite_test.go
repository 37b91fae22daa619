package controllers_test

import (
	"context"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
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

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers"
	"github.com/bff-operator/bff-operator/controllers/controlplane"
	"github.com/bff-operator/bff-operator/webhook"
)

var plane *controlplane.Plane

func TestMain(m *testing.M) {
	log.SetLogger(klog.Background())
	os.Exit(controlplane.Main(m, &plane))
}

// installation is an operator with a store of its own.
func installation() webhook.Sidecar {
	return webhook.Sidecar{
		Image:   "registry.example.com/bff-sidecar:v1",
		Version: "v1",
		Store: &v1alpha1.SessionStore{Type: v1alpha1.StoreRedis, Redis: &v1alpha1.RedisStore{
			Address:           "valkey.bff-system.svc:6379",
			Username:          "bff",
			PasswordSecretRef: &v1alpha1.SecretKeyReference{Name: pod.KeysSecretName, Key: pod.StorePasswordKey},
			TLS:               v1alpha1.StoreTLSDisabled,
		}},
	}
}

// keyRotation is how long the tests' keys are primary.
const keyRotation = 30 * 24 * time.Hour

// operate runs the controllers, with the rights of config/rbac, until the test
// ends or stop is called.
func operate(t *testing.T, sidecar webhook.Sidecar, password string) (stop func()) {
	t.Helper()
	return operateAt(t, sidecar, password, time.Now)
}

// operateAt is operate at another time.
func operateAt(t *testing.T, sidecar webhook.Sidecar, password string, clock func() time.Time) (stop func()) {
	t.Helper()
	mgr, err := manager.New(plane.Operator(t), manager.Options{
		Scheme:     plane.Scheme,
		Cache:      cache.Options{ByObject: controllers.CacheOptions(), ReaderFailOnMissingInformer: true},
		Client:     client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	reconciler := &controllers.PolicyReconciler{
		Client:        mgr.GetClient(),
		Live:          mgr.GetAPIReader(),
		Events:        mgr.GetEventRecorder("bff-operator"),
		Sidecar:       sidecar,
		StorePassword: func() ([]byte, error) { return []byte(password), nil },
		KeyRotation:   keyRotation,
		Clock:         clock,
	}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the operator ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
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
		},
	}
}

// apply creates a policy, and takes it away when the test is over.
func apply(t *testing.T, policy *v1alpha1.BFFPolicy) *v1alpha1.BFFPolicy {
	t.Helper()
	plane.Create(t, policy)
	t.Cleanup(func() {
		if err := plane.Client.Delete(context.Background(), policy); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
	return policy
}

// newPod is a labelled pod of the shop. Its named port is the application's.
func newPod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name,
			Labels: map[string]string{"app": "shop", v1alpha1.LabelInject: v1alpha1.LabelInjectTrue},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "app", Image: "registry.example.com/shop:1",
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
		}}},
	}
}

// injectedPod looks as if the webhook of the given installation had made it.
func injectedPod(t *testing.T, sidecar webhook.Sidecar, policy *v1alpha1.BFFPolicy, name string) *corev1.Pod {
	t.Helper()
	p := newPod(policy.Namespace, name)
	shape, err := sidecar.PodShape(p, policy)
	if err != nil {
		t.Fatal(err)
	}
	p.Annotations = map[string]string{v1alpha1.AnnotationPolicy: policy.Name, v1alpha1.AnnotationPodShape: shape}
	p.Spec.Containers[0].Ports[0].Name = ""
	p.Spec.InitContainers = []corev1.Container{{
		Name: pod.ContainerName, Image: sidecar.Image, RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways),
		Env:   []corev1.EnvVar{{Name: pod.EnvApplicationPort, Value: "8080"}},
		Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: pod.TrafficPort}},
	}}
	return p
}

// setReady writes a pod's status as a kubelet would.
func setReady(t *testing.T, p *corev1.Pod, ready bool) {
	t.Helper()
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastProbeTime: metav1.NewTime(time.Now())}}
	if err := plane.Client.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}
