package certificates

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// fieldOwner owns the caBundle and nothing else of the webhook configuration.
const fieldOwner = client.FieldOwner("bff-operator-webhook-ca")

// maxWait is how long nothing is looked at without a reason. It bounds how late
// a change is noticed that no watch reports: of the Secret, which is not
// watched, or of the clock, which stands still while a machine is suspended.
const maxWait = time.Minute

// Source keeps the authority, publishes it, and serves a certificate signed by
// it. It is a reconciler of the one webhook configuration, and runs in every
// replica.
type Source struct {
	// Client reads the webhook configuration from a cache and the Secret live.
	Client client.Client
	// Secret holds the authorities.
	Secret client.ObjectKey
	// Configuration is the name of the MutatingWebhookConfiguration to publish in.
	Configuration string
	// Names are the DNS names to serve.
	Names []string
	// Lifetimes of what is made.
	Lifetimes Lifetimes
	// Now is the clock. The default is time.Now.
	Now func() time.Time

	served    atomic.Pointer[leaf]
	published atomic.Bool
}

// GetCertificate is for tls.Config. It fails until there is a certificate.
func (s *Source) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if current := s.served.Load(); current != nil {
		return current.certificate, nil
	}
	return nil, errors.New("the webhook has no certificate yet")
}

// Ready is a health check: a certificate is served, and the API server has been
// told to trust its authority.
func (s *Source) Ready(*http.Request) error {
	if _, err := s.GetCertificate(nil); err != nil {
		return err
	}
	if !s.published.Load() {
		return fmt.Errorf("the authority of the webhook's certificate is not published in MutatingWebhookConfiguration %q", s.Configuration)
	}
	return nil
}

// Reconcile brings everything into line: the authorities in the Secret, the
// certificate in memory, the caBundle in the webhook configuration. It asks to
// be called again in a minute at the latest.
func (s *Source) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	lifetimes := s.Lifetimes.withDefaults()
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}

	authorities, err := s.authorities(ctx, lifetimes, now())
	if err != nil {
		return reconcile.Result{}, err
	}
	signer, ok := lifetimes.signer(authorities, now())
	if !ok {
		return reconcile.Result{}, errors.New("choose signer: there is no authority")
	}
	// Trust comes first: nothing is served that was not published before.
	if err := s.publish(ctx, bundle(authorities)); err != nil {
		s.published.Store(false)
		return reconcile.Result{}, err
	}
	if s.served.Load().isDue(signer, now()) {
		fresh, err := newLeaf(signer, s.Names, now(), lifetimes.Leaf)
		if err != nil {
			return reconcile.Result{}, fmt.Errorf("make serving certificate: %w", err)
		}
		s.served.Store(fresh)
		log.FromContext(ctx).Info("serving a new certificate", "names", s.Names,
			"expires", fresh.certificate.Leaf.NotAfter, "authority", signer.certificate.SerialNumber.Text(16))
	}
	s.published.Store(true)
	return reconcile.Result{RequeueAfter: min(maxWait, lifetimes.Leaf/6, lifetimes.Publication)}, nil
}

// authorities reads the Secret and brings it up to date. When another replica
// was faster it returns an error and the next call finds that one's work.
func (s *Source) authorities(ctx context.Context, lifetimes Lifetimes, now time.Time) ([]authority, error) {
	secret := &corev1.Secret{}
	err := s.Client.Get(ctx, s.Secret, secret)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return nil, fmt.Errorf("get Secret %q: %w", s.Secret, err)
	}
	found, err := parse(secret.Data)
	if err != nil && !missing {
		log.FromContext(ctx).Error(err, "the webhook's authority is damaged and will be replaced", "secret", s.Secret)
	}
	kept, fresh, changed := lifetimes.rotate(found, now)
	if !changed {
		return kept, nil
	}
	if fresh {
		made, err := newAuthority(now, lifetimes.Authority)
		if err != nil {
			return nil, fmt.Errorf("make authority: %w", err)
		}
		kept = append(kept, made)
	}
	data, err := encode(kept)
	if err != nil {
		return nil, err
	}
	if missing {
		err = s.create(ctx, data)
	} else {
		updated := secret.DeepCopy()
		updated.Data = data
		err = s.Client.Patch(ctx, updated, client.MergeFromWithOptions(secret, client.MergeFromWithOptimisticLock{}))
	}
	if err != nil {
		return nil, fmt.Errorf("write Secret %q: %w", s.Secret, err)
	}
	return kept, nil
}

// create makes the Secret, unless another replica did. It applies, since that
// is the one way to create that can be allowed for a single name. Each attempt
// has its own field owner and does not force, so of two that race one gets a
// conflict.
func (s *Source) create(ctx context.Context, data map[string][]byte) error {
	attempt := client.FieldOwner("bff-operator-webhook-ca-" + rand.Text()[:8])
	return s.Client.Apply(ctx, corev1ac.Secret(s.Secret.Name, s.Secret.Namespace).
		WithLabels(map[string]string{"app.kubernetes.io/managed-by": "bff-operator"}).
		WithType(corev1.SecretTypeOpaque).
		WithData(data), attempt)
}

// publish makes the API server trust the bundle. It owns the caBundle alone, so
// that whoever installed the configuration keeps everything else.
func (s *Source) publish(ctx context.Context, bundle []byte) error {
	current := &admissionv1.MutatingWebhookConfiguration{}
	if err := s.Client.Get(ctx, client.ObjectKey{Name: s.Configuration}, current); err != nil {
		return fmt.Errorf("get MutatingWebhookConfiguration %q: %w", s.Configuration, err)
	}
	desired := admissionac.MutatingWebhookConfiguration(s.Configuration)
	outdated := false
	for _, webhook := range current.Webhooks {
		outdated = outdated || !bytes.Equal(webhook.ClientConfig.CABundle, bundle)
		desired.WithWebhooks(admissionac.MutatingWebhook().
			WithName(webhook.Name).
			WithClientConfig(admissionac.WebhookClientConfig().WithCABundle(bundle...)))
	}
	if !outdated {
		return nil
	}
	if err := s.Client.Apply(ctx, desired, fieldOwner, client.ForceOwnership); err != nil {
		return fmt.Errorf("publish authority in MutatingWebhookConfiguration %q: %w", s.Configuration, err)
	}
	return nil
}
