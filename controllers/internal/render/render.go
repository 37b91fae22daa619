// Package render turns a policy into what its pods mount. It is pure, and the
// same policy always gives the same bytes.
package render

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// Labels that everything the operator writes carries.
const (
	LabelManagedBy = "app.kubernetes.io/managed-by"
	ManagedBy      = "bff-operator"
)

// Policy is the policy as the sidecar reads it, in YAML: the spec with its
// session store resolved, and what identifies the policy. Nothing else of the
// metadata is in it: annotations may hold anything, and what changes without
// the spec would make every sidecar reload for nothing.
func Policy(policy *v1alpha1.BFFPolicy, store *v1alpha1.SessionStore) ([]byte, error) {
	out, err := yaml.Marshal(&v1alpha1.BFFPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind},
		ObjectMeta: metav1.ObjectMeta{
			Name:       policy.Name,
			Namespace:  policy.Namespace,
			UID:        policy.UID,
			Generation: policy.Generation,
		},
		Spec: policy.WithStore(store).Spec,
	})
	if err != nil {
		return nil, fmt.Errorf("marshal policy: %w", err)
	}
	return out, nil
}

// ConfigMap is the ConfigMap that carries the rendered policy. It goes when the
// policy goes.
func ConfigMap(policy *v1alpha1.BFFPolicy, rendered []byte) *corev1ac.ConfigMapApplyConfiguration {
	return corev1ac.ConfigMap(v1alpha1.ConfigMapName(policy.Name), policy.Namespace).
		WithLabels(map[string]string{LabelManagedBy: ManagedBy}).
		// Without blockOwnerDeletion, which would need a right to policies' finalizers.
		WithOwnerReferences(metav1ac.OwnerReference().
			WithAPIVersion(v1alpha1.GroupVersion.String()).
			WithKind(v1alpha1.Kind).
			WithName(policy.Name).
			WithUID(policy.UID).
			WithController(true)).
		WithData(map[string]string{pod.PolicyFile: string(rendered)})
}

// IsCurrent says whether a ConfigMap is already what ConfigMap would make of it.
func IsCurrent(found *corev1.ConfigMap, policy *v1alpha1.BFFPolicy, rendered []byte) bool {
	return found.Data[pod.PolicyFile] == string(rendered) &&
		found.Labels[LabelManagedBy] == ManagedBy &&
		metav1.IsControlledBy(found, policy)
}

// IsForeign says whether a ConfigMap of the policy's name is somebody else's:
// no policy of that name, dead or alive, controls it.
func IsForeign(found *corev1.ConfigMap, policy *v1alpha1.BFFPolicy) bool {
	owner := metav1.GetControllerOf(found)
	return owner == nil || owner.Kind != v1alpha1.Kind || owner.Name != policy.Name
}
