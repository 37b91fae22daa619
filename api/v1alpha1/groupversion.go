package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every type in this package.
var GroupVersion = schema.GroupVersion{Group: "bff-operator.io", Version: "v1alpha1"}

// Kind is the kind of a BFFPolicy as it stands in a manifest.
const Kind = "BFFPolicy"

// AddToScheme registers the types of this package with a scheme. It uses
// apimachinery alone, so that the sidecar can import the package without
// pulling in a Kubernetes client.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &BFFPolicy{}, &BFFPolicyList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
