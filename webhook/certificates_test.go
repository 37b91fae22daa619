package webhook_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/bff-operator/bff-operator/controllers/controlplane"
	"github.com/bff-operator/bff-operator/webhook"
	"github.com/bff-operator/bff-operator/webhook/internal/certificates"
)

const serviceName = "bff-operator-webhook.bff-system.svc"

var caSecret = client.ObjectKey{Namespace: controlplane.OperatorNamespace, Name: "bff-operator-webhook-ca"}

// withoutAuthority takes away what earlier tests left.
func withoutAuthority(t *testing.T) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: caSecret.Namespace, Name: caSecret.Name}}
	if err := plane.Client.Delete(t.Context(), secret); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
}

func caBundle(t *testing.T) []byte {
	t.Helper()
	var configuration admissionv1.MutatingWebhookConfiguration
	if err := plane.Client.Get(t.Context(), client.ObjectKey{Name: "bff-operator"}, &configuration); err != nil {
		t.Fatal(err)
	}
	return configuration.Webhooks[0].ClientConfig.CABundle
}

// handshake is what the API server does before it sends a pod.
func handshake(port int, trusted []byte) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trusted)
	conn, err := tls.Dial("tcp", net.JoinHostPort("localhost", strconv.Itoa(port)), &tls.Config{RootCAs: roots, ServerName: serviceName})
	if err != nil {
		return err
	}
	return conn.Close()
}

func TestReplicasThatStartAtOnceShareOneAuthority(t *testing.T) {
	withoutAuthority(t)
	ports := make([]int, 3)
	for i := range ports {
		ports[i] = controlplane.FreePort(t)
	}
	plane.InstallWebhook(t, ports[0])
	var hooks []*webhook.Webhook
	for _, port := range ports {
		hooks = append(hooks, serve(t, port))
	}
	for _, hook := range hooks {
		ready(t, hook)
	}

	var secret corev1.Secret
	if err := plane.Client.Get(t.Context(), caSecret, &secret); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(secret.Data["ca.crt"], []byte("BEGIN CERTIFICATE")); n != 1 {
		t.Errorf("there are %d authorities", n)
	}
	if !bytes.Equal(caBundle(t), secret.Data["ca.crt"]) {
		t.Error("what is published is not what is in the Secret")
	}
	for i, port := range ports {
		if err := handshake(port, caBundle(t)); err != nil {
			t.Errorf("replica %d: %v", i, err)
		}
	}

	t.Run("a lost caBundle is put back", func(t *testing.T) {
		var configuration admissionv1.MutatingWebhookConfiguration
		if err := plane.Client.Get(t.Context(), client.ObjectKey{Name: "bff-operator"}, &configuration); err != nil {
			t.Fatal(err)
		}
		configuration.Webhooks[0].ClientConfig.CABundle = nil
		if err := plane.Client.Update(t.Context(), &configuration); err != nil {
			t.Fatal(err)
		}
		controlplane.Eventually(t, func(context.Context) error {
			if !bytes.Equal(caBundle(t), secret.Data["ca.crt"]) {
				return errors.New("the caBundle is not back")
			}
			return nil
		})
	})

	t.Run("of the configuration the operator owns the caBundle alone", func(t *testing.T) {
		var configuration admissionv1.MutatingWebhookConfiguration
		if err := plane.Client.Get(t.Context(), client.ObjectKey{Name: "bff-operator"}, &configuration); err != nil {
			t.Fatal(err)
		}
		for _, entry := range configuration.ManagedFields {
			if entry.Manager != "bff-operator-webhook-ca" {
				continue
			}
			want := `{"f:webhooks":{"k:{\"name\":\"pods.bff-operator.io\"}":{".":{},"f:clientConfig":{"f:caBundle":{}},"f:name":{}}}}`
			if got := entry.FieldsV1.GetRawString(); got != want {
				t.Errorf("it owns %s", got)
			}
			return
		}
		t.Error("it owns nothing")
	})

	t.Run("a lost Secret is made again, and all follow", func(t *testing.T) {
		before := caBundle(t)
		withoutAuthority(t)
		// Nothing watches the Secret. The replicas look once a minute, or when the
		// configuration changes, as it does here.
		var configuration admissionv1.MutatingWebhookConfiguration
		if err := plane.Client.Get(t.Context(), client.ObjectKey{Name: "bff-operator"}, &configuration); err != nil {
			t.Fatal(err)
		}
		configuration.Labels["touched"] = "yes"
		if err := plane.Client.Update(t.Context(), &configuration); err != nil {
			t.Fatal(err)
		}
		controlplane.Eventually(t, func(context.Context) error {
			if bytes.Equal(caBundle(t), before) {
				return errors.New("the old authority is still published")
			}
			for i, port := range ports {
				if err := handshake(port, caBundle(t)); err != nil {
					return fmt.Errorf("replica %d: %w", i, err)
				}
			}
			return nil
		})
	})
}

func TestWebhookIsNotReadyUntilItIsTrusted(t *testing.T) {
	withoutAuthority(t)
	port := controlplane.FreePort(t)
	hook := serve(t, port)
	controlplane.Always(t, time.Second, func(context.Context) error {
		if err := hook.Ready(nil); err == nil {
			return errors.New("ready without a webhook configuration")
		}
		return nil
	})
	plane.InstallWebhook(t, port)
	ready(t, hook)
}

// TestAuthorityChangesWithoutAGap lets two replicas live through a year.
func TestAuthorityChangesWithoutAGap(t *testing.T) {
	withoutAuthority(t)
	plane.InstallWebhook(t, controlplane.FreePort(t))
	now := time.Now()
	start := now
	replicas := make([]*certificates.Source, 2)
	for i := range replicas {
		replicas[i] = &certificates.Source{
			Client: plane.Client, Secret: caSecret, Configuration: "bff-operator",
			Names: []string{serviceName}, Now: func() time.Time { return now },
		}
	}
	look := func(t *testing.T, i int) {
		t.Helper()
		result, err := replicas[i].Reconcile(t.Context(), reconcile.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if result.RequeueAfter <= 0 || result.RequeueAfter > time.Minute {
			t.Errorf("looks again in %v", result.RequeueAfter)
		}
		if err := replicas[i].Ready(nil); err != nil {
			t.Error(err)
		}
	}
	published := func(t *testing.T) []*x509.Certificate {
		t.Helper()
		var all []*x509.Certificate
		for block, rest := pem.Decode(caBundle(t)); block != nil; block, rest = pem.Decode(rest) {
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, certificate)
		}
		return all
	}
	served := func(t *testing.T, i int) *x509.Certificate {
		t.Helper()
		certificate, err := replicas[i].GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return certificate.Leaf
	}
	signedBy := func(t *testing.T, i int, authority *x509.Certificate) {
		t.Helper()
		if err := served(t, i).CheckSignatureFrom(authority); err != nil {
			t.Errorf("replica %d: %v", i, err)
		}
	}
	const day = 24 * time.Hour

	look(t, 0)
	look(t, 1)
	first := published(t)[0]
	signedBy(t, 0, first)
	signedBy(t, 1, first)

	// A serving certificate lasts a week and is renewed after two thirds of it.
	before := served(t, 0)
	now = start.Add(4 * day)
	look(t, 0)
	if !served(t, 0).Equal(before) {
		t.Error("the certificate was renewed after 4 of 7 days")
	}
	now = start.Add(5 * day)
	look(t, 0)
	if served(t, 0).Equal(before) || !served(t, 0).NotAfter.After(before.NotAfter) {
		t.Error("the certificate was not renewed after 5 of 7 days")
	}

	// After two thirds of a year there is a second authority. It is trusted, and
	// does not sign yet.
	now = start.Add(244 * day)
	look(t, 0)
	look(t, 1)
	if n := len(published(t)); n != 2 || !published(t)[0].Equal(first) {
		t.Fatalf("%d authorities are published", n)
	}
	second := published(t)[1]
	signedBy(t, 0, first)
	signedBy(t, 1, first)

	// Ten minutes later it signs. A replica that has not looked yet is still trusted.
	now = now.Add(10 * time.Minute)
	look(t, 0)
	signedBy(t, 0, second)
	signedBy(t, 1, first)
	look(t, 1)
	signedBy(t, 1, second)
	if n := len(published(t)); n != 2 {
		t.Fatalf("%d authorities are published", n)
	}

	// When nothing the first one signed can be valid any more, it goes.
	now = now.Add(7 * day)
	look(t, 1)
	if all := published(t); len(all) != 1 || !all[0].Equal(second) {
		t.Errorf("%d authorities are published", len(all))
	}
	look(t, 0)
	signedBy(t, 0, second)

	// What cannot be read is replaced: nothing is lost with it.
	var secret corev1.Secret
	if err := plane.Client.Get(t.Context(), caSecret, &secret); err != nil {
		t.Fatal(err)
	}
	secret.Data["ca.key"] = []byte("nonsense")
	if err := plane.Client.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	look(t, 0)
	look(t, 1)
	third := published(t)[0]
	if third.Equal(second) {
		t.Error("the damaged authority is still published")
	}
	signedBy(t, 0, third)
	signedBy(t, 1, third)

	// Without a configuration to publish in nobody is ready.
	replicas[0].Configuration = "missing"
	if _, err := replicas[0].Reconcile(t.Context(), reconcile.Request{}); err == nil || !strings.Contains(err.Error(), `"missing"`) {
		t.Errorf("got %v", err)
	}
	if err := replicas[0].Ready(nil); err == nil {
		t.Error("ready although nothing is published")
	}
}
