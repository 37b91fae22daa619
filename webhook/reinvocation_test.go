package webhook_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"

	admissionreview "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/bff-operator/bff-operator/controllers/controlplane"
	"github.com/bff-operator/bff-operator/webhook"
)

// mesh is another project's webhook, which the API server calls after ours. It
// puts its own sidecar in front of everything.
type mesh struct {
	// received is the last pod it was sent: ours, with the API server's defaults.
	received atomic.Pointer[[]byte]
}

const meshPatch = `[{"op":"add","path":"/spec/initContainers/0","value":{"name":"mesh","image":"registry.example.com/mesh:1","restartPolicy":"Always"}},
{"op":"add","path":"/metadata/annotations/mesh","value":"in"}]`

func (m *mesh) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review admissionreview.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	raw := review.Request.Object.Raw
	m.received.Store(&raw)
	var p corev1.Pod
	if err := json.Unmarshal(raw, &p); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	review.Response = &admissionreview.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	if p.Annotations["mesh"] == "" {
		review.Response.Patch = []byte(meshPatch)
		review.Response.PatchType = ptr.To(admissionreview.PatchTypeJSONPatch)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}

// installMesh makes the API server call the mesh after our webhook; of several
// configurations the first by name is called first.
func installMesh(t *testing.T, namespace string) *mesh {
	t.Helper()
	m := &mesh{}
	server := httptest.NewTLSServer(m)
	t.Cleanup(server.Close)
	configuration := &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "zz-mesh"},
		Webhooks: []admissionv1.MutatingWebhook{{
			Name:                    "mesh.example.com",
			AdmissionReviewVersions: []string{"v1"},
			SideEffects:             ptr.To(admissionv1.SideEffectClassNone),
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
			ClientConfig: admissionv1.WebhookClientConfig{
				URL:      ptr.To(server.URL),
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}
	plane.Create(t, configuration)
	t.Cleanup(func() {
		if err := plane.Client.Delete(context.Background(), configuration); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestAnotherWebhookAfterOurs(t *testing.T) {
	port := controlplane.FreePort(t)
	plane.InstallWebhook(t, port)
	ready(t, serve(t, port))
	namespace := plane.Namespace(t)
	plane.Create(t, shop(namespace, "shop"))

	t.Run("we are asked again and stand first again", func(t *testing.T) {
		installMesh(t, namespace)
		p := newPod(namespace)
		controlplane.Eventually(t, func(context.Context) error {
			p = newPod(namespace)
			plane.Create(t, p)
			if p.Annotations["mesh"] == "" {
				return fmt.Errorf("the API server does not know the mesh yet")
			}
			return nil
		})
		if got := initContainers(p); !slices.Equal(got, []string{"bff", "mesh"}) {
			t.Errorf("the init containers are %v", got)
		}
		if p.Spec.Containers[0].Ports[0].Name != "" || p.Spec.InitContainers[0].Ports[0].Name != "http" {
			t.Error("the port's name is not the sidecar's")
		}
	})

	t.Run("a pod that is right already is not patched", func(t *testing.T) {
		m := installMesh(t, namespace)
		controlplane.Eventually(t, func(context.Context) error {
			plane.Create(t, newPod(namespace))
			if m.received.Load() == nil {
				return fmt.Errorf("the API server does not know the mesh yet")
			}
			return nil
		})
		// What the mesh was sent is our pod with all defaults of the API server.
		response := ask(t, port, namespace, *m.received.Load())
		if !response.Allowed || len(response.Patch) > 0 {
			t.Errorf("allowed: %v, patch: %s", response.Allowed, response.Patch)
		}
	})
}

// ask sends a pod to our webhook as the API server does.
func ask(t *testing.T, port int, namespace string, raw []byte) *admissionreview.AdmissionResponse {
	t.Helper()
	text, err := json.Marshal(admissionreview.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionreview.AdmissionRequest{
			UID: "1", Namespace: namespace, Operation: admissionreview.Create, Object: runtime.RawExtension{Raw: raw},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := insecure.Post(fmt.Sprintf("https://localhost:%d%s", port, webhook.Path), "application/json", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var review admissionreview.AdmissionReview
	if err := json.NewDecoder(response.Body).Decode(&review); err != nil {
		t.Fatal(err)
	}
	return review.Response
}

func TestWhatIsNoPodIsRefused(t *testing.T) {
	port := controlplane.FreePort(t)
	plane.InstallWebhook(t, port)
	ready(t, serve(t, port))
	for _, raw := range []string{`null`, `{"apiVersion":"v1","kind":"Service"}`, `{"apiVersion":"v1","kind":"Pod","spec":[]}`} {
		if response := ask(t, port, "default", []byte(raw)); response.Allowed || response.Result.Code != http.StatusBadRequest {
			t.Errorf("%s: allowed %v, code %d", raw, response.Allowed, response.Result.Code)
		}
	}
}
