// Package webhook puts the sidecar into pods as they are created.
//
// The API server sends exactly the pods that carry the label
// bff-operator.io/inject: "true", and such a pod is either injected or refused
// with a sentence that names the cure. Nothing is admitted silently.
//
// The rights below are all the webhook has: to read policies, and to keep its
// own certificate authority, in one Secret of the operator's namespace and in
// the caBundle of one webhook configuration. "list" and "watch" with
// resourceNames work because the cache asks for that one name.
//
// +kubebuilder:rbac:groups=bff-operator.io,resources=bffpolicies,verbs=list;watch
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingwebhookconfigurations,resourceNames=bff-operator,verbs=list;watch;patch
// +kubebuilder:rbac:groups="",namespace=bff-system,resources=secrets,resourceNames=bff-operator-webhook-ca,verbs=get;create;patch
package webhook
