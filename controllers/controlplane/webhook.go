package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// InstallWebhook creates the webhook configuration of config/webhook, and the
// Service it names, which leads to a port of this machine. Both go when the
// test is over.
func (p *Plane) InstallWebhook(t testing.TB, port int) *admissionv1.MutatingWebhookConfiguration {
	t.Helper()
	configuration, err := p.webhookConfiguration()
	if err != nil {
		t.Fatal(err)
	}
	for i := range configuration.Webhooks {
		configuration.Webhooks[i].ClientConfig.Service.Port = ptr.To(int32(port))
	}
	service := configuration.Webhooks[0].ClientConfig.Service
	p.temporary(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: service.Namespace, Name: service.Name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	})
	p.temporary(t, configuration)
	return configuration
}

func (p *Plane) webhookConfiguration() (*admissionv1.MutatingWebhookConfiguration, error) {
	text, err := os.ReadFile(filepath.Join(p.root, "config", "webhook", "webhook.yaml"))
	if err != nil {
		return nil, err
	}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			return nil, err
		}
		if kind.Kind == "MutatingWebhookConfiguration" {
			configuration := &admissionv1.MutatingWebhookConfiguration{}
			return configuration, yaml.UnmarshalStrict([]byte(document), configuration)
		}
	}
	return nil, errors.New("config/webhook/webhook.yaml has no MutatingWebhookConfiguration")
}

// temporary creates an object and deletes it when the test is over.
func (p *Plane) temporary(t testing.TB, object client.Object) {
	t.Helper()
	p.Create(t, object)
	t.Cleanup(func() {
		if err := p.Client.Delete(context.Background(), object); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
}

// FreePort is a port that nobody listens on.
func FreePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// FreeAddress is the address of a free port, as a flag takes it.
func FreeAddress(t testing.TB) string { return fmt.Sprintf("localhost:%d", FreePort(t)) }
