package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

func TestEmbeddedStoreIsWhatTheOperatorIsToldOf(t *testing.T) {
	o := rendered(t)
	operator := get[appsv1.Deployment](t, o, "Deployment", "bff-operator").Spec.Template.Spec
	service := get[corev1.Service](t, o, "Service", "bff-operator-store")
	store := get[appsv1.Deployment](t, o, "Deployment", "bff-operator-store")

	want := fmt.Sprintf("%s.%s.svc:%d", service.Name, service.Namespace, service.Spec.Ports[0].Port)
	if got := argument(t, operator.Containers[0], "--store-address"); got != want {
		t.Errorf("--store-address is %s, want %s", got, want)
	}
	if !selects(service.Spec.Selector, store.Spec.Template.Labels) {
		t.Error("the service does not select the store")
	}
	if operatorSelects := get[corev1.Service](t, o, "Service", "bff-operator-webhook").Spec.Selector; selects(operatorSelects, store.Spec.Template.Labels) {
		t.Error("the webhook's service selects the store")
	}
	if got := argument(t, operator.Containers[0], "--store-username"); !strings.Contains(secretEntry(t, o, "bff-operator-store", "users.acl"), "\nuser "+got+" ") {
		t.Errorf("the store knows no user %q", got)
	}
	if got := mountedSecret(operator, argument(t, operator.Containers[0], "--store-password-file")); got != "bff-operator-store/password" {
		t.Errorf("--store-password-file is entry %q", got)
	}
}

// The password is in one entry of one Secret: not in an argument, a ConfigMap,
// an annotation, and not where the server's users are.
func TestPasswordIsInOneEntryOfOneSecret(t *testing.T) {
	o := rendered(t)
	password := secretEntry(t, o, "bff-operator-store", "password")
	if len(password) < 43 {
		t.Errorf("the password has %d characters of 62 kinds, fewer than 256 bits", len(password))
	}
	users := secretEntry(t, o, "bff-operator-store", "users.acl")
	if strings.Contains(users, password) {
		t.Error("users.acl has the password itself")
	}
	if !strings.Contains(users, fmt.Sprintf("#%x ", sha256.Sum256([]byte(password)))) {
		t.Errorf("users.acl %q does not let the password in", users)
	}
	for _, object := range o {
		if object.GetKind() == "Secret" {
			continue
		}
		if text := fmt.Sprint(object.Object); strings.Contains(text, password) {
			t.Errorf("%s %s has the password", object.GetKind(), object.GetName())
		}
	}
	if again := secretEntry(t, rendered(t), "bff-operator-store", "password"); again == password {
		t.Error("two installations get the same password")
	}
}

func TestStoreOfYourOwnSecret(t *testing.T) {
	o := rendered(t, set("store.embedded.existingSecret=mine")...)
	if o.has("Secret", "bff-operator-store") {
		t.Error("a Secret is made all the same")
	}
	operator := get[appsv1.Deployment](t, o, "Deployment", "bff-operator").Spec.Template.Spec
	if got := mountedSecret(operator, argument(t, operator.Containers[0], "--store-password-file")); got != "mine/password" {
		t.Errorf("the operator's password is %s", got)
	}
	store := get[appsv1.Deployment](t, o, "Deployment", "bff-operator-store").Spec.Template.Spec
	if got := mountedSecret(store, "/etc/store/users/users.acl"); got != "mine/users.acl" {
		t.Errorf("the server's users are %s", got)
	}
	if got := store.Containers[0].Env[0].ValueFrom.SecretKeyRef; got.Name != "mine" || got.Key != "password" {
		t.Errorf("the probes' password is %v", got)
	}
}

// An upgrade that changes nothing about the store must not log everybody out.
func TestUpgradeLeavesTheStoreAlone(t *testing.T) {
	template := func(args ...string) string {
		o := rendered(t, append(slices.Clone(existingSecret), args...)...)
		text, err := json.Marshal(get[appsv1.Deployment](t, o, "Deployment", "bff-operator-store").Spec.Template)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := template()
	for _, value := range []string{"image.tag=2.0.0", "replicaCount=3", "commonLabels.team=web", "log.level=debug", "store.embedded.networkPolicy.enabled=false"} {
		if template(set(value)...) != before {
			t.Errorf("%s restarts the store", value)
		}
	}
	if template(set("store.embedded.maxMemory=256mb")...) == before {
		t.Error("a new store.embedded.maxMemory does not restart the store, so it would have no effect")
	}
}

func TestStoreLetsInTheSidecarsAndTheOperatorAlone(t *testing.T) {
	o := rendered(t)
	policy := get[networkingv1.NetworkPolicy](t, o, "NetworkPolicy", "bff-operator-store")
	if !selects(policy.Spec.PodSelector.MatchLabels, get[appsv1.Deployment](t, o, "Deployment", "bff-operator-store").Spec.Template.Labels) {
		t.Error("it is about other pods")
	}
	if len(policy.Spec.Ingress) != 1 || len(policy.Spec.Ingress[0].From) != 2 || len(policy.Spec.Egress) != 0 || len(policy.Spec.PolicyTypes) != 2 {
		t.Fatalf("it allows %+v", policy.Spec)
	}
	sidecars, operator := policy.Spec.Ingress[0].From[0], policy.Spec.Ingress[0].From[1]
	if sidecars.NamespaceSelector == nil || sidecars.PodSelector.MatchLabels[v1alpha1.LabelInject] != v1alpha1.LabelInjectTrue {
		t.Errorf("sidecars are let in by %+v", sidecars)
	}
	if operator.NamespaceSelector != nil || !selects(operator.PodSelector.MatchLabels, get[appsv1.Deployment](t, o, "Deployment", "bff-operator").Spec.Template.Labels) {
		t.Errorf("the operator is let in by %+v", operator)
	}
	if rendered(t, set("store.embedded.networkPolicy.enabled=false")...).has("NetworkPolicy", "bff-operator-store") {
		t.Error("it cannot be switched off")
	}
}

func TestPersistence(t *testing.T) {
	data := func(o objects) corev1.VolumeSource {
		for _, volume := range get[appsv1.Deployment](t, o, "Deployment", "bff-operator-store").Spec.Template.Spec.Volumes {
			if volume.Name == "data" {
				return volume.VolumeSource
			}
		}
		t.Fatal("no volume for data")
		return corev1.VolumeSource{}
	}
	if off := rendered(t); data(off).EmptyDir == nil || off.has("PersistentVolumeClaim", "bff-operator-store") {
		t.Error("without persistence there is a claim")
	}
	on := rendered(t, set("store.embedded.persistence.enabled=true", "store.embedded.persistence.storageClassName=fast")...)
	claim := get[corev1.PersistentVolumeClaim](t, on, "PersistentVolumeClaim", "bff-operator-store")
	if *claim.Spec.StorageClassName != "fast" || data(on).PersistentVolumeClaim.ClaimName != claim.Name {
		t.Errorf("the claim is %+v, mounted is %+v", claim.Spec, data(on))
	}
	mine := rendered(t, set("store.embedded.persistence.enabled=true", "store.embedded.persistence.existingClaim=mine")...)
	if mine.has("PersistentVolumeClaim", "bff-operator-store") || data(mine).PersistentVolumeClaim.ClaimName != "mine" {
		t.Error("a claim of one's own is not used")
	}
}

func TestExternalStore(t *testing.T) {
	external := set("store.embedded.enabled=false", "store.external.address=valkey.cache.svc:6379", "store.external.tls=Enabled",
		"store.external.username=app", "store.external.passwordSecret.name=valkey", "store.external.passwordSecret.key=pw")
	o := rendered(t, external...)
	for _, object := range o {
		if strings.HasSuffix(object.GetName(), "-store") {
			t.Errorf("there is a %s %s", object.GetKind(), object.GetName())
		}
	}
	operator := get[appsv1.Deployment](t, o, "Deployment", "bff-operator").Spec.Template.Spec
	for flag, want := range map[string]string{"--store-address": "valkey.cache.svc:6379", "--store-username": "app"} {
		if got := argument(t, operator.Containers[0], flag); got != want {
			t.Errorf("%s is %s, want %s", flag, got, want)
		}
	}
	if !slices.Contains(operator.Containers[0].Args, "--store-tls") {
		t.Error("TLS is enabled, and the operator is not told")
	}
	if got := mountedSecret(operator, argument(t, operator.Containers[0], "--store-password-file")); got != "valkey/pw" {
		t.Errorf("the password is %s", got)
	}

	open := get[appsv1.Deployment](t, rendered(t, external[:4]...), "Deployment", "bff-operator").Spec.Template.Spec
	if slices.Contains(open.Containers[0].Args, "--store-username=bff") {
		t.Error("the embedded store's user is used for another store")
	}
	if len(open.Volumes) != 0 || slices.ContainsFunc(open.Containers[0].Args, func(arg string) bool { return strings.HasPrefix(arg, "--store-password") }) {
		t.Error("a store without password has one")
	}
}

// mountedSecret is Secret/entry of the file at a path in a pod's first
// container.
func mountedSecret(spec corev1.PodSpec, path string) string {
	for _, mount := range spec.Containers[0].VolumeMounts {
		file, below := strings.CutPrefix(path, mount.MountPath+"/")
		for _, volume := range spec.Volumes {
			if !below || volume.Name != mount.Name || volume.Secret == nil {
				continue
			}
			for _, item := range volume.Secret.Items {
				if item.Path == file {
					return volume.Secret.SecretName + "/" + item.Key
				}
			}
		}
	}
	return ""
}
