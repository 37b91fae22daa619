package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/webhook/internal/certificates"
)

// Path is where the API server sends pods.
const Path = "/mutate-pods"

// Options is what a webhook server needs to know.
type Options struct {
	// Host and Port to listen on. An empty host is every address.
	Host string
	Port int
	// Namespace of the operator, and of the Service that leads to the webhook.
	Namespace string
	// ServiceName of that Service.
	ServiceName string
	// ConfigurationName of the MutatingWebhookConfiguration that names the Service.
	ConfigurationName string
	// CASecretName of the Secret, in Namespace, that holds the certificate
	// authority.
	CASecretName string
	// Sidecar to inject.
	Sidecar Sidecar
}

// Webhook is the pod injector with its server and its certificates. It serves
// in every replica, whoever leads.
type Webhook struct {
	options      Options
	certificates *certificates.Source
	server       ctrlwebhook.Server
	synced       func() bool
}

// New makes a webhook. Server and CacheOptions go into the manager's options,
// then Setup connects it with that manager.
func New(options Options) *Webhook {
	w := &Webhook{options: options, certificates: &certificates.Source{
		Secret:        client.ObjectKey{Namespace: options.Namespace, Name: options.CASecretName},
		Configuration: options.ConfigurationName,
		Names: []string{
			options.ServiceName + "." + options.Namespace + ".svc",
			options.ServiceName + "." + options.Namespace + ".svc.cluster.local",
		},
	}}
	w.server = ctrlwebhook.NewServer(ctrlwebhook.Options{
		Host: options.Host,
		Port: options.Port,
		TLSOpts: []func(*tls.Config){func(config *tls.Config) {
			config.MinVersion = tls.VersionTLS13
			config.GetCertificate = w.certificates.GetCertificate
			// Without HTTP/2 an API server spreads its calls over the replicas, and a
			// replica whose node has died costs it the calls of one connection instead of
			// all of them until the kernel gives up.
			config.NextProtos = []string{"http/1.1"}
		}},
	})
	return w
}

// Server is the webhook server for the manager's options.
func (w *Webhook) Server() ctrlwebhook.Server { return w.server }

// CacheOptions keeps the cache to the one webhook configuration that is ours,
// which is all the operator may read.
func (w *Webhook) CacheOptions() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&admissionv1.MutatingWebhookConfiguration{}: {
			Field: fields.OneTermEqualSelector("metadata.name", w.options.ConfigurationName),
		},
	}
}

// Setup registers the injector and the care for its certificates.
func (w *Webhook) Setup(ctx context.Context, mgr manager.Manager) error {
	policies, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.BFFPolicy{})
	if err != nil {
		return fmt.Errorf("watch policies: %w", err)
	}
	w.synced = policies.HasSynced
	w.certificates.Client = mgr.GetClient()

	// The first look does not wait for an event: there may be nothing to watch yet.
	only := reconcile.Request{NamespacedName: client.ObjectKey{Name: w.options.ConfigurationName}}
	first := source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(only)
		return nil
	})
	err = builder.ControllerManagedBy(mgr).
		Named("webhook-certificates").
		For(&admissionv1.MutatingWebhookConfiguration{}).
		WatchesRawSource(first).
		WithOptions(controller.Options{NeedLeaderElection: ptr.To(false)}).
		Complete(w.certificates)
	if err != nil {
		return fmt.Errorf("set up certificates: %w", err)
	}

	mgr.GetWebhookServer().Register(Path, &admission.Webhook{
		Handler: &injector{
			cached:  mgr.GetCache(),
			live:    mgr.GetAPIReader(),
			decoder: admission.NewDecoder(mgr.GetScheme()),
			sidecar: w.options.Sidecar,
		},
		LogConstructor: func(_ logr.Logger, req *admission.Request) logr.Logger {
			return admission.DefaultLogConstructor(mgr.GetLogger().WithName("admission"), req)
		},
	})
	return nil
}

// Ready is a health check: the server answers with a certificate that the API
// server trusts, and knows the policies.
func (w *Webhook) Ready(req *http.Request) error {
	if err := w.certificates.Ready(req); err != nil {
		return err
	}
	if w.synced == nil || !w.synced() {
		return errors.New("the policies have not been read yet")
	}
	return w.server.StartedChecker()(req)
}
