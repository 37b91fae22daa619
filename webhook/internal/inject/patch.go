package inject

import (
	"encoding/json"
	"fmt"
	"slices"

	jsonpatch "gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
)

const initContainersPath = "/spec/initContainers"

// Patch is the JSON Patch (RFC 6902) from a pod to what Inject made of it. It
// is empty when nothing changed.
//
// Both sides are what this build knows of a pod, and never the text the API
// server sent: fields that are newer than this build are then in neither and
// survive. For the same reason the sidecar, which moves every other init
// container by one, is added and removed whole instead of being compared by
// position.
func Patch(original, injected *corev1.Pod) ([]jsonpatch.Operation, error) {
	before, had := withoutSidecar(original)
	after, has := withoutSidecar(injected)
	rest, err := difference(before, after)
	if err != nil {
		return nil, err
	}
	if had == 0 && has == 0 {
		same, err := difference(original.Spec.InitContainers[0], injected.Spec.InitContainers[0])
		if err != nil {
			return nil, err
		}
		if len(same) == 0 {
			return rest, nil
		}
	}

	var patch []jsonpatch.Operation
	if had >= 0 {
		patch = append(patch, jsonpatch.NewOperation("remove", fmt.Sprintf("%s/%d", initContainersPath, had), nil))
	}
	patch = append(patch, rest...)
	switch {
	case has < 0:
	case len(original.Spec.InitContainers) == 0:
		patch = append(patch, jsonpatch.NewOperation("add", initContainersPath, injected.Spec.InitContainers))
	default:
		patch = append(patch, jsonpatch.NewOperation("add", fmt.Sprintf("%s/%d", initContainersPath, has), injected.Spec.InitContainers[has]))
	}
	return patch, nil
}

// withoutSidecar is the pod without the sidecar's container, and where that
// stood.
func withoutSidecar(pod *corev1.Pod) (*corev1.Pod, int) {
	i := slices.IndexFunc(pod.Spec.InitContainers, isSidecar)
	if i < 0 {
		return pod, i
	}
	pod = pod.DeepCopy()
	pod.Spec.InitContainers = slices.Delete(pod.Spec.InitContainers, i, i+1)
	return pod, i
}

func difference(before, after any) ([]jsonpatch.Operation, error) {
	a, err := json.Marshal(before)
	if err != nil {
		return nil, fmt.Errorf("marshal original: %w", err)
	}
	b, err := json.Marshal(after)
	if err != nil {
		return nil, fmt.Errorf("marshal injected: %w", err)
	}
	patch, err := jsonpatch.CreatePatch(a, b)
	if err != nil {
		return nil, fmt.Errorf("compare pods: %w", err)
	}
	return patch, nil
}
