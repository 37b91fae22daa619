// Package v1alpha1 is the API of bff-operator: one kind, BFFPolicy.
//
// It is the only contract between the operator and the sidecar. The operator
// writes a policy as it is into a ConfigMap, the sidecar reads exactly this
// type, so there is no second configuration language.
//
// +kubebuilder:object:generate=true
// +groupName=bff-operator.io
package v1alpha1
