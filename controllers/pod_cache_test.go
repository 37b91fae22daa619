package controllers

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/webhook"
)

func fullPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "p", Namespace: "web", UID: "1", ResourceVersion: "5",
			Labels:        map[string]string{"app": "shop", v1alpha1.LabelInject: v1alpha1.LabelInjectTrue},
			Annotations:   map[string]string{v1alpha1.AnnotationPolicy: "shop", v1alpha1.AnnotationPodShape: "x", "big": "annotation"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubelet"}},
		},
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](0), FSGroup: ptr.To[int64](1)},
			Containers: []corev1.Container{{
				Name: "app", Image: "shop:1", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "hunter2"}},
				Ports:     []corev1.ContainerPort{{ContainerPort: 8080}},
				Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("1")}},
			}},
			InitContainers: []corev1.Container{{
				Name: pod.ContainerName, RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways),
				Env:   []corev1.EnvVar{{Name: pod.EnvApplicationPort, Value: "8080"}},
				Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: pod.TrafficPort}},
			}},
			Volumes: []corev1.Volume{{Name: "data"}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: "10.0.0.1",
			Conditions:        []corev1.PodCondition{{Type: corev1.PodScheduled}, {Type: corev1.PodReady, Status: corev1.ConditionTrue, Message: "m"}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "app"}},
		},
	}
}

func kept(t *testing.T, p *corev1.Pod) *corev1.Pod {
	t.Helper()
	out, err := keepWhatCounts(p)
	if err != nil {
		t.Fatal(err)
	}
	return out.(*corev1.Pod)
}

// TestCachedPodHasTheSameShape makes sure that nothing is dropped that PodShape
// looks at.
func TestCachedPodHasTheSameShape(t *testing.T) {
	policy := &v1alpha1.BFFPolicy{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	policy.Spec.Session.Store = &v1alpha1.SessionStore{Type: v1alpha1.StoreMemory}
	policy.Spec.Provider.ClientAuthentication.SecretRef = &v1alpha1.SecretKeyReference{Name: "a", Key: "b"}
	for _, port := range []intstr.IntOrString{intstr.FromString("http"), intstr.FromInt32(8080)} {
		policy.Spec.Application.Port = port
		sidecar := webhook.Sidecar{Image: "sidecar:1"}
		full, err := sidecar.PodShape(fullPod(), policy)
		if err != nil {
			t.Fatal(err)
		}
		if cached, err := sidecar.PodShape(kept(t, fullPod()), policy); err != nil || cached != full {
			t.Errorf("port %v: the shape of the cached pod is %q (%v), of the full one %q", &port, cached, err, full)
		}
	}
}

func TestCacheHoldsNothingItNeedNot(t *testing.T) {
	p := kept(t, fullPod())
	if len(p.ManagedFields) > 0 || len(p.Annotations) != 2 || len(p.Spec.Volumes) > 0 || len(p.Status.ContainerStatuses) > 0 ||
		p.Spec.Containers[0].Image != "" || len(p.Spec.Containers[0].Env) > 0 || len(p.Spec.Containers[0].Resources.Limits) > 0 {
		t.Errorf("kept %+v", p)
	}
}

func TestAnythingElseIsLeftAsItIs(t *testing.T) {
	secret := &corev1.Secret{}
	if out, err := keepWhatCounts(secret); err != nil || out != any(secret) {
		t.Errorf("got %v, %v", out, err)
	}
}

func TestPodChanged(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*corev1.Pod)
		want   bool
	}{
		"a heartbeat":           {func(p *corev1.Pod) { p.Status.Conditions[1].LastProbeTime = metav1.Now() }, false},
		"an address":            {func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.2" }, false},
		"another's annotation":  {func(p *corev1.Pod) { p.Annotations["big"] = "other" }, false},
		"readiness":             {func(p *corev1.Pod) { p.Status.Conditions[1].Status = corev1.ConditionFalse }, true},
		"the end":               {func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, true},
		"the coming end":        {func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }, true},
		"a label":               {func(p *corev1.Pod) { p.Labels["app"] = "blog" }, true},
		"our annotation":        {func(p *corev1.Pod) { p.Annotations[v1alpha1.AnnotationPodShape] = "y" }, true},
		"nothing but a version": {func(*corev1.Pod) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			after := fullPod()
			after.ResourceVersion = "6"
			row.change(after)
			if got := podChanged.Update(event.UpdateEvent{ObjectOld: kept(t, fullPod()), ObjectNew: kept(t, after)}); got != row.want {
				t.Errorf("looked at the policies again: %v", got)
			}
		})
	}
}
