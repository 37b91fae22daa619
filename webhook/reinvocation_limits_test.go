package webhook_test

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/controlplane"
)

// TestNamespaceWithLimits has a LimitRange that demands a CPU limit of every
// container and gives it to those that have none. The API server does that to
// the sidecar after our webhook, and then asks us again.
func TestNamespaceWithLimits(t *testing.T) {
	port := controlplane.FreePort(t)
	plane.InstallWebhook(t, port)
	ready(t, serve(t, port))
	namespace := plane.Namespace(t)
	plane.Create(t, shop(namespace, "shop"))
	plane.Create(t, &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "limits"},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type:    corev1.LimitTypeContainer,
			Default: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("1Gi")},
			Max:     corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("2Gi")},
		}}},
	})
	var first *corev1.Pod
	controlplane.Eventually(t, func(context.Context) error {
		first = newPod(namespace)
		plane.Create(t, first)
		if first.Spec.Containers[0].Resources.Limits.Cpu().IsZero() {
			return errors.New("the API server does not know the LimitRange yet")
		}
		return nil
	})
	got := first.Spec.InitContainers[0].Resources
	for what, row := range map[string]struct{ got, want string }{
		"CPU limit, which is the namespace's": {got.Limits.Cpu().String(), "500m"},
		"memory limit, which is ours":         {got.Limits.Memory().String(), "128Mi"},
		"CPU request, which is ours":          {got.Requests.Cpu().String(), "10m"},
		"memory request, which is ours":       {got.Requests.Memory().String(), "32Mi"},
	} {
		if row.got != row.want {
			t.Errorf("the sidecar's %s, is %s, want %s", what, row.got, row.want)
		}
	}

	// What the namespace adds is no reason for a restart.
	other := plane.Namespace(t)
	policy := shop(other, "shop")
	plane.Create(t, policy)
	elsewhere := newPod(other)
	plane.Create(t, elsewhere)
	if a, b := first.Annotations[v1alpha1.AnnotationPodShape], elsewhere.Annotations[v1alpha1.AnnotationPodShape]; a != b {
		t.Errorf("the shape is %s with limits and %s without", a, b)
	}
	if shape, err := sidecar.PodShape(first, policy); err != nil || shape != first.Annotations[v1alpha1.AnnotationPodShape] {
		t.Errorf("the pod is outdated from the start (%v)", err)
	}
}
