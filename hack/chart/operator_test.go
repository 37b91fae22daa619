package main

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	operatorwebhook "github.com/bff-operator/bff-operator/webhook"
)

func TestOnlyPodsThatAskAreSentToTheOperator(t *testing.T) {
	configuration := get[admissionv1.MutatingWebhookConfiguration](t, rendered(t), "MutatingWebhookConfiguration", "bff-operator")
	if len(configuration.Webhooks) != 1 {
		t.Fatalf("%d webhooks, want 1", len(configuration.Webhooks))
	}
	webhook := configuration.Webhooks[0]
	if got := webhook.ObjectSelector.MatchLabels; len(got) != 1 || got[v1alpha1.LabelInject] != v1alpha1.LabelInjectTrue {
		t.Errorf("objectSelector is %v, want only the label that asks for the sidecar", got)
	}
	excluded := webhook.NamespaceSelector.MatchExpressions[0]
	if !slices.Contains(excluded.Values, "kube-system") || !slices.Contains(excluded.Values, namespace) || excluded.Operator != "NotIn" {
		t.Errorf("namespaceSelector %v does not leave out kube-system and the operator's own namespace", excluded)
	}
	if *webhook.FailurePolicy != admissionv1.Fail {
		t.Error("the webhook fails open")
	}
	if *webhook.SideEffects != admissionv1.SideEffectClassNone {
		t.Error("the webhook is not called for a dry run")
	}
	if *webhook.ReinvocationPolicy != admissionv1.IfNeededReinvocationPolicy {
		t.Error("a container that a later webhook adds would go unseen")
	}
	if got := *webhook.ClientConfig.Service.Path; got != operatorwebhook.Path {
		t.Errorf("pods are sent to %s, the operator takes them at %s", got, operatorwebhook.Path)
	}
	if webhook.ClientConfig.CABundle != nil {
		t.Error("the chart sets caBundle, so an upgrade would take the operator's away")
	}
	if *webhook.TimeoutSeconds > 10 {
		t.Errorf("the API server waits %d s", *webhook.TimeoutSeconds)
	}
}

func TestWebhookServiceLeadsToTheOperator(t *testing.T) {
	for _, args := range [][]string{nil, set("webhook.port=9443"), set("fullnameOverride=other")} {
		o := rendered(t, args...)
		name := "bff-operator"
		if len(args) > 0 && strings.HasPrefix(args[1], "fullname") {
			name = "other"
		}
		reference := get[admissionv1.MutatingWebhookConfiguration](t, o, "MutatingWebhookConfiguration", name).Webhooks[0].ClientConfig.Service
		service := get[corev1.Service](t, o, "Service", reference.Name)
		deployment := get[appsv1.Deployment](t, o, "Deployment", name)
		container := deployment.Spec.Template.Spec.Containers[0]

		if reference.Namespace != namespace || service.Namespace != namespace {
			t.Errorf("the service is looked for in %s and is in %s", reference.Namespace, service.Namespace)
		}
		if *reference.Port != service.Spec.Ports[0].Port {
			t.Errorf("the webhook is called at port %d, the service listens on %d", *reference.Port, service.Spec.Ports[0].Port)
		}
		if !selects(service.Spec.Selector, deployment.Spec.Template.Labels) {
			t.Error("the service does not select the operator's pods")
		}
		target := service.Spec.Ports[0].TargetPort.StrVal
		i := slices.IndexFunc(container.Ports, func(p corev1.ContainerPort) bool { return p.Name == target })
		if i < 0 {
			t.Fatalf("no container port is named %q", target)
		}
		if got := argument(t, container, "--webhook-port"); got != portText(container.Ports[i]) {
			t.Errorf("the operator listens on %s, the container's port is %s", got, portText(container.Ports[i]))
		}
		if got := argument(t, container, "--webhook-service-name"); got != reference.Name {
			t.Errorf("the certificate is made for %q, the API server calls %q", got, reference.Name)
		}
		if got := argument(t, container, "--webhook-configuration-name"); got != name {
			t.Errorf("the operator looks for the configuration %q, it is %q", got, name)
		}
	}
}

func TestSidecarIsEnforcedByTheAPIServerItself(t *testing.T) {
	policy := get[admissionv1.ValidatingAdmissionPolicy](t, rendered(t), "ValidatingAdmissionPolicy", "bff-operator")
	if *policy.Spec.FailurePolicy != admissionv1.Fail {
		t.Error("the policy fails open")
	}
	if !strings.Contains(policy.Spec.Validations[1].Expression, `"`+pod.ContainerName+`"`) {
		t.Errorf("%q does not look for the container %q", policy.Spec.Validations[1].Expression, pod.ContainerName)
	}
	selector, err := metav1.LabelSelectorAsSelector(policy.Spec.MatchConstraints.ObjectSelector)
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]bool{"true": true, "True": true, "": true, "false": false} {
		if got := selector.Matches(labels.Set{v1alpha1.LabelInject: value}); got != want {
			t.Errorf("the policy looks at pods with the label's value %q: %t, want %t", value, got, want)
		}
	}
	if selector.Matches(labels.Set{"app": "shop"}) {
		t.Error("the policy looks at pods that did not ask for the sidecar")
	}
	if policy.Spec.MatchConstraints.NamespaceSelector != nil {
		t.Error("the policy leaves namespaces out: a labelled pod there would go unprotected")
	}
	binding := get[admissionv1.ValidatingAdmissionPolicyBinding](t, rendered(t), "ValidatingAdmissionPolicyBinding", "bff-operator")
	if binding.Spec.PolicyName != policy.Name || !slices.Equal(binding.Spec.ValidationActions, []admissionv1.ValidationAction{admissionv1.Deny}) {
		t.Errorf("the binding does not make policy %q deny: %+v", policy.Name, binding.Spec)
	}
	if rendered(t, set("enforcement.enabled=false")...).has("ValidatingAdmissionPolicy", "bff-operator") {
		t.Error("enforcement cannot be switched off")
	}
}

func TestOperatorSurvivesANodeDrain(t *testing.T) {
	o := rendered(t)
	deployment := get[appsv1.Deployment](t, o, "Deployment", "bff-operator")
	if *deployment.Spec.Replicas < 2 {
		t.Errorf("%d replicas", *deployment.Spec.Replicas)
	}
	if got := deployment.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue(); got != 0 {
		t.Errorf("an upgrade may take %d replicas away before the new ones are there", got)
	}
	spread := deployment.Spec.Template.Spec.TopologySpreadConstraints[0]
	if spread.WhenUnsatisfiable != corev1.ScheduleAnyway {
		t.Error("on one node the second replica would never start")
	}
	budget := get[policyv1.PodDisruptionBudget](t, o, "PodDisruptionBudget", "bff-operator")
	if !selects(budget.Spec.Selector.MatchLabels, deployment.Spec.Template.Labels) || !selects(spread.LabelSelector.MatchLabels, deployment.Spec.Template.Labels) {
		t.Error("the budget or the spreading is about other pods")
	}
}

// A budget for one replica would stop every drain for ever.
func TestOneReplicaHasNoBudget(t *testing.T) {
	if o := rendered(t, set("replicaCount=1")...); o.has("PodDisruptionBudget", "bff-operator") {
		t.Error("there is a budget for one replica")
	}
}

func TestEveryPodIsRestricted(t *testing.T) {
	for _, name := range []string{"bff-operator", "bff-operator-store"} {
		spec := get[appsv1.Deployment](t, rendered(t), "Deployment", name).Spec.Template.Spec
		if !*spec.SecurityContext.RunAsNonRoot || spec.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: pod security context %+v", name, spec.SecurityContext)
		}
		for _, container := range spec.Containers {
			context := container.SecurityContext
			if *context.AllowPrivilegeEscalation || !*context.ReadOnlyRootFilesystem || !slices.Equal(context.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("%s: container security context %+v", name, context)
			}
			if container.Resources.Limits.Memory().IsZero() || container.Resources.Requests.Cpu().IsZero() {
				t.Errorf("%s: requests or limits are missing", name)
			}
			if container.LivenessProbe == nil || container.ReadinessProbe == nil || container.StartupProbe == nil {
				t.Errorf("%s: a probe is missing", name)
			}
		}
	}
}

// The garbage collector is told of the limit in the unit Go reads.
func TestGoKnowsItsMemoryLimit(t *testing.T) {
	for limit, want := range map[string]string{"256Mi": "230MiB", "1Gi": "921MiB", "500M": ""} {
		spec := get[appsv1.Deployment](t, rendered(t, set("resources.limits.memory="+limit)...), "Deployment", "bff-operator").Spec.Template.Spec
		got := ""
		for _, env := range spec.Containers[0].Env {
			if env.Name == "GOMEMLIMIT" {
				got = env.Value
			}
		}
		if got != want {
			t.Errorf("a limit of %s gives GOMEMLIMIT %q, want %q", limit, got, want)
		}
	}
}

func TestDefinitionIsATemplateThatOutlivesTheRelease(t *testing.T) {
	const name = "bffpolicies.bff-operator.io"
	const keep = "helm.sh/resource-policy"
	if got := get[apiextensionsv1.CustomResourceDefinition](t, rendered(t), "CustomResourceDefinition", name).Annotations[keep]; got != "keep" {
		t.Errorf("%s is %q", keep, got)
	}
	if _, kept := get[apiextensionsv1.CustomResourceDefinition](t, rendered(t, set("crds.keep=false")...), "CustomResourceDefinition", name).Annotations[keep]; kept {
		t.Error("crds.keep=false keeps")
	}
	if rendered(t, set("crds.enabled=false")...).has("CustomResourceDefinition", name) {
		t.Error("crds.enabled=false installs")
	}
}

// Whatever the release is called, the operator may touch its own webhook
// configuration and no other.
func TestRightsNameTheWebhookConfiguration(t *testing.T) {
	for _, name := range []string{"bff-operator", "other"} {
		role := get[rbacv1.ClusterRole](t, rendered(t, set("fullnameOverride="+name)...), "ClusterRole", name)
		found := false
		for _, rule := range role.Rules {
			if slices.Contains(rule.Resources, "mutatingwebhookconfigurations") {
				found = slices.Equal(rule.ResourceNames, []string{name})
			}
			if slices.Contains(rule.Resources, "secrets") && len(rule.ResourceNames) == 0 {
				t.Error("the operator may read every Secret")
			}
		}
		if !found {
			t.Errorf("no rule is about mutatingwebhookconfigurations named %q alone", name)
		}
	}
}

func TestNames(t *testing.T) {
	long := "a" + strings.Repeat("long-", 10)
	for _, test := range []struct {
		say  string
		args []string
		want string
	}{
		{"the documented release", nil, "bff-operator"},
		{"an override", set("fullnameOverride=token-handler"), "token-handler"},
		{"another name for the chart", set("nameOverride=gate"), "bff-gate"},
		{"the longest override", set("fullnameOverride=" + strings.Repeat("a", 50)), strings.Repeat("a", 50)},
		{"a name that is cut at a dash", set("nameOverride=" + long), "bff-" + long[:45]},
	} {
		t.Run(test.say, func(t *testing.T) {
			o := rendered(t, test.args...)
			if !o.has("Deployment", test.want) {
				t.Errorf("no Deployment %q", test.want)
			}
			for _, object := range o {
				if len(object.GetName()) > 63 {
					t.Errorf("%s %s has %d characters", object.GetKind(), object.GetName(), len(object.GetName()))
				}
				if strings.HasSuffix(object.GetName(), "-") {
					t.Errorf("%s %s ends with a dash", object.GetKind(), object.GetName())
				}
				for key, value := range object.GetLabels() {
					if len(value) > 63 {
						t.Errorf("%s %s: label %s has %d characters", object.GetKind(), object.GetName(), key, len(value))
					}
				}
			}
		})
	}
}

func TestImages(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	o := rendered(t, set("image.repository=localhost/bff-operator", "image.tag=dev", "sidecar.image.repository=localhost/bff-sidecar",
		"sidecar.image.digest="+digest, "sidecar.image.pullPolicy=Never")...)
	container := get[appsv1.Deployment](t, o, "Deployment", "bff-operator").Spec.Template.Spec.Containers[0]
	if want := "localhost/bff-operator:dev"; container.Image != want {
		t.Errorf("the operator's image is %s, want %s", container.Image, want)
	}
	if got, want := argument(t, container, "--sidecar-image"), "localhost/bff-sidecar@"+digest; got != want {
		t.Errorf("the sidecar's image is %s, want %s", got, want)
	}
	if got := argument(t, container, "--sidecar-image-pull-policy"); got != "Never" {
		t.Errorf("the sidecar's pull policy is %s", got)
	}
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return len(selector) > 0
}

func portText(p corev1.ContainerPort) string { return strconv.Itoa(int(p.ContainerPort)) }
