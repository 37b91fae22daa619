package inject

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	sidecar "github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// readable is the mode of mounted files. The sidecar runs as whatever user the
// platform gives it and has no group in common with the files unless the pod
// sets fsGroup, so the files must be readable by anyone who sees them. Only the
// sidecar's container mounts them.
const readable int32 = 0o444

// volumes are what the sidecar mounts: its policy and every Secret that names.
// The kubelet holds the pod back until all of them exist, which also covers a
// pod that is created before its policy was rendered.
func volumes(policy *v1alpha1.BFFPolicy) []corev1.Volume {
	return []corev1.Volume{
		{Name: sidecar.PolicyVolume, VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: v1alpha1.ConfigMapName(policy.Name)},
				DefaultMode:          ptr.To(readable),
			},
		}},
		{Name: sidecar.SecretsVolume, VolumeSource: corev1.VolumeSource{
			Projected: &corev1.ProjectedVolumeSource{
				Sources:     append(secretSources(policy), tokenSources(policy)...),
				DefaultMode: ptr.To(readable),
			},
		}},
	}
}

func mounts() []corev1.VolumeMount {
	return []corev1.VolumeMount{
		{Name: sidecar.PolicyVolume, MountPath: sidecar.PolicyDir, ReadOnly: true},
		{Name: sidecar.SecretsVolume, MountPath: sidecar.SecretsDir, ReadOnly: true},
	}
}

// secretSources projects each entry to <secret>/<key>, one source per Secret,
// sorted.
func secretSources(policy *v1alpha1.BFFPolicy) []corev1.VolumeProjection {
	references := append(policy.Spec.SecretReferences(),
		v1alpha1.SecretKeyReference{Name: sidecar.KeysSecretName, Key: sidecar.KeyRingKey})
	slices.SortFunc(references, func(a, b v1alpha1.SecretKeyReference) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key))
	})
	references = slices.Compact(references)

	var sources []corev1.VolumeProjection
	for _, reference := range references {
		if len(sources) == 0 || sources[len(sources)-1].Secret.Name != reference.Name {
			sources = append(sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: reference.Name},
			}})
		}
		last := sources[len(sources)-1].Secret
		last.Items = append(last.Items, corev1.KeyToPath{
			Key: reference.Key, Path: sidecar.SecretPath(reference.Name, reference.Key),
		})
	}
	return sources
}

// tokenSources projects a token of the pod's service account, where the client
// authenticates with one. The kubelet renews it.
func tokenSources(policy *v1alpha1.BFFPolicy) []corev1.VolumeProjection {
	identity := policy.Spec.Provider.ClientAuthentication.WorkloadIdentity
	if identity == nil {
		return nil
	}
	return []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
		Audience:          identity.Audience,
		ExpirationSeconds: ptr.To(identity.ExpirationSeconds),
		Path:              sidecar.ServiceAccountTokenPath,
	}}}
}
