package inject_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"

	sidecar "github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/webhook/internal/denial"
	"github.com/bff-operator/bff-operator/webhook/internal/inject"
)

// FuzzInject fills pods at random, with names and ports that are likely to
// meet. Whatever the pod, Inject does not panic, is deterministic, idempotent,
// refuses with a denial only, makes a patch that applies, and takes nothing
// from the user but what it says it does.
func FuzzInject(f *testing.F) {
	for seed := range int64(500) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed int64) {
		pod, plan := randomPod(seed)
		original := pod.DeepCopy()
		injected, err := inject.Inject(pod, plan)
		if !equality.Semantic.DeepEqual(original, pod) {
			t.Fatal("Inject changed the pod it was given")
		}
		if err != nil {
			if refused := (*denial.Denial)(nil); !errors.As(err, &refused) {
				t.Fatalf("the error is no denial: %v", err)
			}
			return
		}
		if same, err := inject.Inject(pod, plan); err != nil || !equality.Semantic.DeepEqual(injected, same) {
			t.Fatalf("the same pod came out differently (%v)", err)
		}
		checkIdempotent(t, injected, plan)
		checkApplies(t, pod, injected)
		if pod.Annotations[v1alpha1.AnnotationPolicy] == "" {
			checkNothingLost(t, pod, injected, plan)
		}
	})
}

// checkApplies applies the patch to the pod as this build marshals it.
func checkApplies(t *testing.T, pod, injected *corev1.Pod) {
	t.Helper()
	before, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patchOf(t, pod, injected).Apply(before)
	if err != nil {
		t.Fatalf("apply the patch to %s: %v", before, err)
	}
	var got, want corev1.Pod
	if err := json.Unmarshal(patched, &got); err != nil {
		t.Fatal(err)
	}
	if after, err := json.Marshal(injected); err != nil || json.Unmarshal(after, &want) != nil {
		t.Fatal("the injected pod does not survive JSON")
	}
	if !equality.Semantic.DeepEqual(got, want) {
		t.Fatalf("the patch leads to %s instead of the injected pod", patched)
	}
}

// checkNothingLost undoes, by itself and from the documentation alone, what
// Inject may do to a pod. What is left must be the pod.
func checkNothingLost(t *testing.T, pod, injected *corev1.Pod, plan inject.Plan) {
	t.Helper()
	left, want := injected.DeepCopy(), pod.DeepCopy()

	left.Spec.InitContainers = slices.DeleteFunc(left.Spec.InitContainers, func(c corev1.Container) bool {
		return c.Name == sidecar.ContainerName
	})
	left.Spec.Volumes = slices.DeleteFunc(left.Spec.Volumes, func(v corev1.Volume) bool {
		return v.Name == sidecar.PolicyVolume || v.Name == sidecar.SecretsVolume
	})
	left.Spec.ImagePullSecrets = left.Spec.ImagePullSecrets[:len(want.Spec.ImagePullSecrets)]
	for _, key := range []string{
		v1alpha1.AnnotationPolicy, v1alpha1.AnnotationPodShape, v1alpha1.AnnotationVersion,
		"kubectl.kubernetes.io/default-container",
	} {
		if _, had := pod.Annotations[key]; !had || key != "kubectl.kubernetes.io/default-container" {
			delete(left.Annotations, key)
			delete(want.Annotations, key)
		}
	}
	if name := plan.Policy.Spec.Application.Port; name.Type == intstr.String {
		forgetPort(want, name.StrVal)
	}
	if !equality.Semantic.DeepEqual(want, left) {
		a, _ := json.Marshal(want)
		b, _ := json.Marshal(left)
		t.Fatalf("the user's part of the pod is\n%s\nwant\n%s", b, a)
	}
}

// forgetPort takes a TCP port's name from its container, and from the probes
// and hooks of that container.
func forgetPort(pod *corev1.Pod, name string) {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			c := &list[i]
			for j := range c.Ports {
				if c.Ports[j].Name != name || c.Ports[j].Protocol == corev1.ProtocolUDP || c.Ports[j].Protocol == corev1.ProtocolSCTP {
					continue
				}
				number := c.Ports[j].ContainerPort
				c.Ports[j].Name = ""
				var handlers []corev1.ProbeHandler
				for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
					if probe != nil {
						handlers = append(handlers, probe.ProbeHandler)
					}
				}
				if c.Lifecycle != nil {
					for _, hook := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
						if hook != nil {
							handlers = append(handlers, corev1.ProbeHandler{HTTPGet: hook.HTTPGet, TCPSocket: hook.TCPSocket})
						}
					}
				}
				for _, handler := range handlers {
					if handler.HTTPGet != nil && handler.HTTPGet.Port.String() == name {
						handler.HTTPGet.Port = intstr.FromInt32(number)
					}
					if handler.TCPSocket != nil && handler.TCPSocket.Port.String() == name {
						handler.TCPSocket.Port = intstr.FromInt32(number)
					}
				}
			}
		}
	}
}

func randomPod(seed int64) (*corev1.Pod, inject.Plan) {
	pod, plan := new(corev1.Pod), inject.Plan{Policy: new(v1alpha1.BFFPolicy), Sidecar: installation, Version: "v1"}
	fill := randfill.NewWithSeed(seed).NilChance(.5).NumElements(1, 3).MaxDepth(12).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewQuantity(int64(c.Intn(1<<20)), resource.BinarySI)
		},
		func(t *metav1.Time, _ randfill.Continue) { *t = metav1.Time{} },
		func(t *metav1.MicroTime, _ randfill.Continue) { *t = metav1.MicroTime{} },
		func(f *metav1.FieldsV1, _ randfill.Continue) { *f = *metav1.NewFieldsV1("{}") },
		func(p *intstr.IntOrString, c randfill.Continue) {
			*p = pick(c, intstr.FromString("http"), intstr.FromString("web"), intstr.FromInt32(8080), intstr.FromInt32(9090))
		},
		func(p *corev1.ContainerPort, c randfill.Continue) {
			*p = corev1.ContainerPort{
				Name:          pick(c, "http", "", "web", "bff", "bff-admin"),
				ContainerPort: pick[int32](c, 8080, 8080, 8080, 9090, 18080),
				Protocol:      pick(c, "", corev1.ProtocolTCP, corev1.ProtocolUDP),
			}
		},
		func(container *corev1.Container, c randfill.Continue) {
			c.FillNoCustom(container)
			container.Name = pick(c, "app", "helper", "worker", "mesh", "bff")
		},
		func(volume *corev1.Volume, c randfill.Continue) {
			c.FillNoCustom(volume)
			volume.Name = pick(c, "data", "tmp", "cache", sidecar.PolicyVolume)
		},
		func(m *metav1.ObjectMeta, c randfill.Continue) {
			c.FillNoCustom(m)
			if c.Bool() {
				m.Annotations = pick(c, nil, map[string]string{v1alpha1.AnnotationPolicy: "shop"},
					map[string]string{"kubectl.kubernetes.io/default-container": "helper"})
			}
		},
	)
	fill.Fill(pod)
	fill.Fill(&plan.Policy.Spec)
	plan.Policy.Name = "shop"
	plan.Policy.Spec.Session.Store = &v1alpha1.SessionStore{Type: v1alpha1.StoreMemory}
	pod.Spec.HostNetwork = false
	return pod, plan
}

func pick[T any](c randfill.Continue, from ...T) T { return from[c.Intn(len(from))] }
