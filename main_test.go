package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/controlplane"
)

var plane *controlplane.Plane

func TestMain(m *testing.M) { os.Exit(controlplane.Main(m, &plane)) }

func TestFlags(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := parse([]string{
		"--namespace=bff-system", "--sidecar-image=sidecar:v1", "--sidecar-image-pull-secrets=one, two",
		"--sidecar-cpu-limit=1", "--sidecar-memory-limit=64Mi",
		"--store-address=valkey:6379", "--store-username=bff", "--store-password-file=" + password, "--store-tls",
		"--log-level=debug", "--log-format=text", "--mode=webhook", "--webhook-port=9443",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for what, row := range map[string]struct{ got, want any }{
		"namespace":      {o.webhook.Namespace, "bff-system"},
		"port":           {o.webhook.Port, 9443},
		"image":          {o.webhook.Sidecar.Image, "sidecar:v1"},
		"pull policy":    {o.webhook.Sidecar.ImagePullPolicy, corev1.PullIfNotPresent},
		"pull secrets":   {o.webhook.Sidecar.ImagePullSecrets, []string{"one", "two"}},
		"version":        {o.webhook.Sidecar.Version, "dev"},
		"controllers":    {o.runsControllers(), false},
		"webhook":        {o.runsWebhook(), true},
		"level":          {o.logLevel.String(), "DEBUG"},
		"store":          {o.webhook.Sidecar.Store.Type, v1alpha1.StoreRedis},
		"store address":  {o.webhook.Sidecar.Store.Redis.Address, "valkey:6379"},
		"store user":     {o.webhook.Sidecar.Store.Redis.Username, "bff"},
		"store TLS":      {o.webhook.Sidecar.Store.Redis.TLS, v1alpha1.StoreTLSEnabled},
		"store password": {*o.webhook.Sidecar.Store.Redis.PasswordSecretRef, v1alpha1.SecretKeyReference{Name: "bff-operator-keys", Key: "store-password"}},
	} {
		if !reflect.DeepEqual(row.got, row.want) {
			t.Errorf("%s is %v, want %v", what, row.got, row.want)
		}
	}
	want := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{"cpu": resource.MustParse("10m"), "memory": resource.MustParse("32Mi")},
		Limits:   corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("64Mi")},
	}
	if got := o.webhook.Sidecar.Resources; !reflect.DeepEqual(got, want) {
		t.Errorf("the resources are %v, want %v", got, want)
	}
	if got, err := o.storePassword(); err != nil || string(got) != "s3cret" {
		t.Errorf("the password has %d bytes (%v)", len(got), err)
	}
	// The file is read each time: a mounted Secret changes under the process.
	if err := os.WriteFile(password, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := o.storePassword(); err != nil || string(got) != "another" {
		t.Errorf("the new password was not read (%v)", err)
	}
}

func TestWithoutAStoreThereIsNone(t *testing.T) {
	o, err := parse([]string{"--namespace=bff-system", "--sidecar-image=sidecar:v1", "--sidecar-memory-limit="}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.webhook.Sidecar.Store != nil || o.storePassword != nil {
		t.Error("a store came from nowhere")
	}
	if len(o.webhook.Sidecar.Resources.Limits) > 0 {
		t.Errorf("an empty limit is %v", o.webhook.Sidecar.Resources.Limits)
	}
}

func TestBadFlagsSayWhatToWrite(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := []string{"--namespace=bff-system", "--sidecar-image=sidecar:v1"}
	for name, row := range map[string]struct {
		args []string
		want string
	}{
		"nothing":              {nil, "--sidecar-image is missing: write the sidecar's image, for example ghcr.io/"},
		"no namespace":         {[]string{"--sidecar-image=a"}, "or set $POD_NAMESPACE"},
		"an argument":          {append(good, "start"), `unexpected argument "start"`},
		"an unknown flag":      {append(good, "--colour=red"), "flag provided but not defined"},
		"an unknown mode":      {append(good, "--mode=both"), "--mode=both is none of all, controller, webhook"},
		"an unknown level":     {append(good, "--log-level=loud"), "--log-level=loud is none of debug, info, warn, error"},
		"an unknown format":    {append(good, "--log-format=xml"), "--log-format=xml is none of json, text"},
		"an unknown policy":    {append(good, "--sidecar-image-pull-policy=Sometimes"), "is none of Always, IfNotPresent, Never"},
		"no quantity":          {append(good, "--sidecar-cpu-request=much"), "--sidecar-cpu-request=much is no quantity: write for example 10m"},
		"a negative quantity":  {append(good, "--sidecar-memory-limit=-1Mi"), "is no quantity"},
		"request over limit":   {append(good, "--sidecar-memory-limit=16Mi"), "memory request 32Mi is more than its limit 16Mi"},
		"store without a port": {append(good, "--store-address=valkey"), "is no host:port: write for example"},
		"store with odd port":  {append(good, "--store-address=valkey:redis"), "is no host:port"},
		"store TLS alone":      {append(good, "--store-tls"), "need --store-address"},
		"keys every hour":      {append(good, "--key-rotation-interval=1h"), "write 24h or more, or 0"},
		"password alone":       {append(good, "--store-password-file="+empty), "need --store-address"},
		"no such password":     {append(good, "--store-address=valkey:6379", "--store-password-file=/nowhere"), "--store-password-file: open /nowhere"},
		"an empty password":    {append(good, "--store-address=valkey:6379", "--store-password-file="+empty), "is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(row.args, io.Discard); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
		})
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &out); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"sidecar-image", "store-address", "webhook-port", "leader-elect", "metrics-bind-address"} {
		if !strings.Contains(out.String(), "-"+name) {
			t.Errorf("the help does not name --%s", name)
		}
	}
}

// operator is a running operator.
type operator struct {
	health, metrics string
	log             *buffer
}

// start runs the operator with the rights of config/rbac, until the test is
// over. It must end in time and without an error.
func start(t *testing.T, args ...string) operator {
	t.Helper()
	t.Setenv("KUBECONFIG", plane.KubeConfig(t, plane.Operator(t)))
	o := operator{health: controlplane.FreeAddress(t), metrics: controlplane.FreeAddress(t), log: &buffer{}}
	args = append([]string{
		"--namespace=" + controlplane.OperatorNamespace, "--sidecar-image=registry.example.com/bff-sidecar:v1",
		"--health-probe-bind-address=" + o.health, "--metrics-bind-address=" + o.metrics, "--log-level=debug",
	}, args...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, args, o.log) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the operator ended with %v", err)
			}
		case <-time.After(controlplane.Patience):
			t.Error("the operator does not end")
		}
		if t.Failed() {
			t.Log(o.log.String())
		}
	})
	return o
}

func get(ctx context.Context, url string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

func (o operator) becomesReady(t *testing.T) {
	t.Helper()
	controlplane.Eventually(t, func(ctx context.Context) error {
		if code, body, err := get(ctx, "http://"+o.health+"/readyz"); err != nil || code != http.StatusOK {
			return fmt.Errorf("/readyz says %d %s (%v)", code, body, err)
		}
		return nil
	})
}

// sample reads the policy users copy from the documentation.
func sample(t *testing.T, namespace string) *v1alpha1.BFFPolicy {
	t.Helper()
	text, err := os.ReadFile("config/samples/shop/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	policy := &v1alpha1.BFFPolicy{}
	if err := yaml.UnmarshalStrict(text, policy); err != nil {
		t.Fatal(err)
	}
	policy.Namespace = namespace
	return policy
}

func shopPod(namespace string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, GenerateName: "shop-",
			Labels: map[string]string{"app": "shop", v1alpha1.LabelInject: v1alpha1.LabelInjectTrue},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "shop", Image: "registry.example.com/shop:1", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
		}}},
	}
}

func isReady(policy *v1alpha1.BFFPolicy) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := plane.Client.Get(ctx, client.ObjectKeyFromObject(policy), policy); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(policy.Status.Conditions, v1alpha1.ConditionReady) {
			return fmt.Errorf("the policy's conditions are %+v", policy.Status.Conditions)
		}
		return nil
	}
}

// TestOperator is the whole operator: a policy, a pod, what comes of them.
func TestOperator(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("correct-horse"), 0o600); err != nil {
		t.Fatal(err)
	}
	port := controlplane.FreePort(t)
	plane.InstallWebhook(t, port)
	o := start(t, fmt.Sprint("--webhook-port=", port), "--store-address=valkey:6379", "--store-password-file="+password)
	o.becomesReady(t)

	namespace := plane.Namespace(t)
	policy := sample(t, namespace)
	plane.Create(t, policy)
	pod := shopPod(namespace)
	plane.Create(t, pod)
	if len(pod.Spec.InitContainers) != 1 || pod.Annotations[v1alpha1.AnnotationVersion] != version {
		t.Fatalf("the pod was not injected: %v", pod.Annotations)
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := plane.Client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	controlplane.Eventually(t, isReady(policy))
	controlplane.Eventually(t, func(ctx context.Context) error {
		want := v1alpha1.PodCounts{Matched: 1, Injected: 1, Ready: 1, Summary: "1/1"}
		if err := isReady(policy)(ctx); err != nil || policy.Status.Pods != want {
			return fmt.Errorf("the policy counts %+v (%v)", policy.Status.Pods, err)
		}
		return nil
	})

	t.Run("everything the pod mounts is there", func(t *testing.T) {
		for _, volume := range pod.Spec.Volumes {
			if volume.ConfigMap != nil {
				var configMap corev1.ConfigMap
				if err := plane.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: volume.ConfigMap.Name}, &configMap); err != nil {
					t.Error(err)
				}
			}
			if volume.Projected == nil {
				continue
			}
			for _, source := range volume.Projected.Sources {
				if source.Secret.Name == "shop-oidc" {
					continue // the user's
				}
				var secret corev1.Secret
				if err := plane.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: source.Secret.Name}, &secret); err != nil {
					t.Error(err)
				}
				for _, item := range source.Secret.Items {
					if len(secret.Data[item.Key]) == 0 {
						t.Errorf("Secret %s has no %s", secret.Name, item.Key)
					}
				}
			}
		}
	})
	t.Run("metrics are served", func(t *testing.T) {
		code, body, err := get(t.Context(), "http://"+o.metrics+"/metrics")
		if err != nil || code != http.StatusOK || !strings.Contains(body, `bff_webhook_admissions_total{reason="Injected",result="allowed"}`) {
			t.Errorf("/metrics says %d (%v)", code, err)
		}
	})
	t.Run("one replica leads", func(t *testing.T) {
		var lease coordinationv1.Lease
		if err := plane.Client.Get(t.Context(), client.ObjectKey{Namespace: controlplane.OperatorNamespace, Name: leaseName}, &lease); err != nil {
			t.Fatal(err)
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
			t.Error("nobody holds the lease")
		}
	})
	t.Run("no secret is in the log", func(t *testing.T) {
		log := o.log.String()
		if !strings.Contains(log, `"msg":"injected"`) {
			t.Error("the log misses what happened")
		}
		if strings.Contains(log, "correct-horse") {
			t.Error("the log has the store's password")
		}
	})
}

// TestWebhookAndControllersApart runs them as two processes would.
func TestWebhookAndControllersApart(t *testing.T) {
	port := controlplane.FreePort(t)
	plane.InstallWebhook(t, port)
	namespace := plane.Namespace(t)
	policy := sample(t, namespace)
	policy.Spec.Session.Store = &v1alpha1.SessionStore{Type: v1alpha1.StoreMemory}
	plane.Create(t, policy)

	hook := start(t, "--mode=webhook", fmt.Sprint("--webhook-port=", port))
	hook.becomesReady(t)
	pod := shopPod(namespace)
	plane.Create(t, pod)
	if len(pod.Spec.InitContainers) != 1 {
		t.Error("the pod was not injected")
	}
	var configMap corev1.ConfigMap
	if err := plane.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "bff-shop"}, &configMap); err == nil {
		t.Error("the webhook alone rendered the policy")
	}

	controller := start(t, "--mode=controller")
	controller.becomesReady(t)
	controlplane.Eventually(t, func(ctx context.Context) error {
		return plane.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "bff-shop"}, &configMap)
	})
}

func TestRunSaysWhyItCannot(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "missing"))
	err := run(t.Context(), []string{"--namespace=a", "--sidecar-image=b"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "find the cluster") {
		t.Errorf("got %v", err)
	}
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mutex sync.Mutex
	bytes bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.bytes.Write(p)
}

func (b *buffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.bytes.String()
}
