// Package e2e runs the whole product as its users do: on a Kubernetes cluster,
// installed by helm, with a browser in front. Its tests have the build tag e2e
// and are started by `make e2e`.
package e2e
