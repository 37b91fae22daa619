package webhook

import (
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// NewInjector lets a test choose what the cache knows.
func NewInjector(cached, live client.Reader, scheme *runtime.Scheme, sidecar Sidecar) admission.Handler {
	return &injector{cached: cached, live: live, decoder: admission.NewDecoder(scheme), sidecar: sidecar}
}
