package inject

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	sidecar "github.com/bff-operator/bff-operator/api/pod"
)

// nonRootUser is the user the sidecar runs as in a pod whose own default is
// root. It is the USER of the image.
const nonRootUser = 65532

// container renders the sidecar. Every field the API server would default is
// set, so that the pod the webhook sees on its second call equals the one it
// would render.
func container(pod *corev1.Pod, plan Plan, port port) corev1.Container {
	return corev1.Container{
		Name:                     sidecar.ContainerName,
		Image:                    plan.Sidecar.Image,
		ImagePullPolicy:          plan.Sidecar.ImagePullPolicy,
		RestartPolicy:            ptr.To(corev1.ContainerRestartPolicyAlways),
		Env:                      environment(plan.Sidecar.Resources, port),
		Ports:                    ports(port),
		Resources:                *plan.Sidecar.Resources.DeepCopy(),
		VolumeMounts:             mounts(),
		StartupProbe:             probe("/readyz", 1, 60),
		ReadinessProbe:           probe("/readyz", 5, 2),
		LivenessProbe:            probe("/livez", 10, 3),
		Lifecycle:                lifecycle(),
		SecurityContext:          securityContext(pod),
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
}

func environment(resources corev1.ResourceRequirements, port port) []corev1.EnvVar {
	env := []corev1.EnvVar{
		{Name: sidecar.EnvApplicationPort, Value: strconv.Itoa(int(port.number))},
		{Name: sidecar.EnvPodIP, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "status.podIP"},
		}},
	}
	if limit := resources.Limits.Memory().Value(); limit > 0 {
		// The collector works harder well before the kernel kills. The rest is for
		// what it does not count: the executable, stacks in the kernel, buffers.
		env = append(env, corev1.EnvVar{Name: "GOMEMLIMIT", Value: strconv.FormatInt(limit/10*9, 10)})
	}
	return env
}

func ports(port port) []corev1.ContainerPort {
	name := port.name
	if name == "" {
		name = sidecar.PortName
	}
	return []corev1.ContainerPort{
		{Name: name, ContainerPort: sidecar.TrafficPort, Protocol: corev1.ProtocolTCP},
		{Name: sidecar.AdminPortName, ContainerPort: sidecar.AdminPort, Protocol: corev1.ProtocolTCP},
	}
}

func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: path, Port: intstr.FromInt32(sidecar.AdminPort), Scheme: corev1.URISchemeHTTP,
		}},
		PeriodSeconds:    period,
		FailureThreshold: failures,
		TimeoutSeconds:   1,
		SuccessThreshold: 1,
	}
}

// lifecycle starts draining as soon as the pod is to end. The hook runs beside
// the application's own, and the sidecar keeps serving: the kubelet stops it
// only after the application has gone.
func lifecycle() *corev1.Lifecycle {
	return &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{
		Exec: &corev1.ExecAction{Command: []string{"/bff-sidecar", "drain"}},
	}}
}

// securityContext satisfies the restricted Pod Security Standard. It names no
// user, since platforms that give each namespace a range of its own (OpenShift)
// would refuse a fixed one; only where the pod's default is root, which
// runAsNonRoot would refuse to start, it names the image's.
func securityContext(pod *corev1.Pod) *corev1.SecurityContext {
	context := &corev1.SecurityContext{
		RunAsNonRoot:             ptr.To(true),
		ReadOnlyRootFilesystem:   ptr.To(true),
		AllowPrivilegeEscalation: ptr.To(false),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if defaults := pod.Spec.SecurityContext; defaults != nil && ptr.Deref(defaults.RunAsUser, -1) == 0 {
		context.RunAsUser = ptr.To[int64](nonRootUser)
	}
	return context
}

// shape hashes what a reload of the configuration cannot change.
func shape(container corev1.Container, volumes []corev1.Volume) string {
	// Structs, slices and sorted maps only: the same input gives the same bytes.
	data, err := json.Marshal(struct {
		Container corev1.Container
		Volumes   []corev1.Volume
	}{container, volumes})
	if err != nil {
		panic("marshal a container: " + err.Error()) // no type in it can fail
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
