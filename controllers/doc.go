// Package controllers keeps the promise of a BFFPolicy: what its pods mount is
// there, and its status says what holds and what to do.
//
// Reconcile is a thin shell. It observes (reads), decides (pure packages below
// internal/) and writes in one place; every write is a server-side apply that
// is left out when it would change nothing.
//
// The rights below are all the controller has. It neither lists nor watches
// Secrets: in the namespaces of policies it may touch the one Secret it keeps
// there, by name. A server-side apply creates under the name in its URL, which
// is what makes "create" work together with resourceNames.
//
// +kubebuilder:rbac:groups=bff-operator.io,resources=bffpolicies,verbs=list;watch
// +kubebuilder:rbac:groups=bff-operator.io,resources=bffpolicies/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=secrets,resourceNames=bff-operator-keys,verbs=get;create;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
//
// Leader election, in the operator's own namespace. A lease is created by POST,
// which carries no name, so "create" stands without one.
//
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=bff-system,resources=leases,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=bff-system,resources=leases,resourceNames=bff-operator,verbs=get;update
// +kubebuilder:rbac:groups="",namespace=bff-system,resources=events,verbs=create;patch
package controllers
