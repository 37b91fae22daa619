package render_test

import (
	"bytes"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/internal/render"
)

func policy() *v1alpha1.BFFPolicy {
	return &v1alpha1.BFFPolicy{
		ObjectMeta: metav1.ObjectMeta{
			Name: "shop", Namespace: "web", UID: "123", Generation: 4, ResourceVersion: "99",
			CreationTimestamp: metav1.NewTime(time.Unix(1e9, 0)),
			Labels:            map[string]string{"team": "shop"},
			Annotations:       map[string]string{corev1.LastAppliedConfigAnnotation: "{}"},
			ManagedFields:     []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		},
		Spec: v1alpha1.BFFPolicySpec{
			Selector:    metav1.LabelSelector{MatchLabels: map[string]string{"b": "2", "a": "1"}},
			PublicURL:   "https://shop.example.com",
			Application: v1alpha1.Application{Port: intstr.FromInt32(8080), Host: v1alpha1.HostLocalhost},
			Provider: v1alpha1.Provider{
				IssuerURL: "https://id.example.com", ClientID: "shop", Scopes: []string{"openid"},
				ClientAuthentication: v1alpha1.ClientAuthentication{
					Method: v1alpha1.ClientSecretPost, SecretRef: &v1alpha1.SecretKeyReference{Name: "oidc", Key: "secret"},
				},
			},
			Session: v1alpha1.Session{
				IdleTimeout: metav1.Duration{Duration: 30 * time.Minute}, Lifetime: metav1.Duration{Duration: 12 * time.Hour},
			},
			Endpoints: v1alpha1.Endpoints{BasePath: "/bff"},
		},
		Status: v1alpha1.BFFPolicyStatus{ObservedGeneration: 3},
	}
}

var store = &v1alpha1.SessionStore{Type: v1alpha1.StoreRedis, Redis: &v1alpha1.RedisStore{Address: "valkey:6379", TLS: v1alpha1.StoreTLSDisabled}}

const want = `apiVersion: bff-operator.io/v1alpha1
kind: BFFPolicy
metadata:
  generation: 4
  name: shop
  namespace: web
  uid: "123"
spec:
  application:
    host: Localhost
    port: 8080
  endpoints:
    basePath: /bff
  provider:
    clientAuthentication:
      method: client_secret_post
      secretRef:
        key: secret
        name: oidc
    clientID: shop
    issuerURL: https://id.example.com
    scopes:
    - openid
  publicURL: https://shop.example.com
  selector:
    matchLabels:
      a: "1"
      b: "2"
  session:
    idleTimeout: 30m0s
    lifetime: 12h0m0s
    store:
      redis:
        address: valkey:6379
        tls: Disabled
      type: Redis
`

func TestPolicyIsRenderedByteForByte(t *testing.T) {
	for range 20 {
		got, err := render.Policy(policy(), store)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Fatalf("got:\n%s\nwant:\n%s", got, want)
		}
	}
}

func TestWhatTheSidecarDoesNotNeedChangesNothing(t *testing.T) {
	p := policy()
	p.Annotations, p.Labels, p.ResourceVersion, p.ManagedFields = nil, nil, "100", nil
	p.Status.Pods.Ready = 3
	got, err := render.Policy(p, store)
	if err != nil || string(got) != want {
		t.Errorf("got:\n%s(%v)", got, err)
	}
}

func TestOwnStoreWins(t *testing.T) {
	p := policy()
	p.Spec.Session.Store = &v1alpha1.SessionStore{Type: v1alpha1.StoreMemory}
	got, err := render.Policy(p, store)
	if err != nil || !bytes.Contains(got, []byte("store:\n      type: Memory")) || bytes.Contains(got, []byte("valkey")) {
		t.Errorf("got:\n%s(%v)", got, err)
	}
}

func TestConfigMapIsCurrentOrForeign(t *testing.T) {
	p := policy()
	ours := func(change func(*corev1.ConfigMap)) *corev1.ConfigMap {
		c := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Labels:          map[string]string{"app.kubernetes.io/managed-by": "bff-operator"},
				OwnerReferences: []metav1.OwnerReference{{Kind: "BFFPolicy", Name: "shop", UID: "123", Controller: ptr.To(true)}},
			},
			Data: map[string]string{"policy.yaml": want, "added by somebody": "x"},
		}
		change(c)
		return c
	}
	for name, row := range map[string]struct {
		found            *corev1.ConfigMap
		current, foreign bool
	}{
		"as it should be":            {ours(func(*corev1.ConfigMap) {}), true, false},
		"edited":                     {ours(func(c *corev1.ConfigMap) { c.Data["policy.yaml"] += " " }), false, false},
		"emptied":                    {ours(func(c *corev1.ConfigMap) { c.Data = nil }), false, false},
		"without its label":          {ours(func(c *corev1.ConfigMap) { c.Labels = nil }), false, false},
		"of a policy that was":       {ours(func(c *corev1.ConfigMap) { c.OwnerReferences[0].UID = "old" }), false, false},
		"of another policy":          {ours(func(c *corev1.ConfigMap) { c.OwnerReferences[0].Name = "blog" }), true, true},
		"of another kind":            {ours(func(c *corev1.ConfigMap) { c.OwnerReferences[0].Kind = "Deployment" }), true, true},
		"nobody's":                   {ours(func(c *corev1.ConfigMap) { c.OwnerReferences = nil }), false, true},
		"not controlled by a policy": {ours(func(c *corev1.ConfigMap) { c.OwnerReferences[0].Controller = nil }), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := render.IsCurrent(row.found, p, []byte(want)); got != row.current && !row.foreign {
				t.Errorf("current: %v", got)
			}
			if got := render.IsForeign(row.found, p); got != row.foreign {
				t.Errorf("foreign: %v", got)
			}
		})
	}
}
