package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bff-operator/bff-operator/hack/chart/internal/helm"
)

const root = "../.."

// existingSecret keeps a rendering from being random.
var existingSecret = []string{"--set", "store.embedded.existingSecret=" + storeSecret}

// theHelm fails the test when helm is missing: a chart that was not rendered
// must not pass.
func theHelm(t *testing.T) helm.Helm {
	t.Helper()
	found, err := helm.Find(root)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// objects are what the chart renders.
type objects []unstructured.Unstructured

func rendered(t *testing.T, args ...string) objects {
	t.Helper()
	found, err := render(t.Context(), theHelm(t), filepath.Join(root, chartDir), args...)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// refused returns what helm says about values it does not render.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	_, err := render(t.Context(), theHelm(t), filepath.Join(root, chartDir), args...)
	if err == nil {
		t.Fatalf("%v was rendered", args)
	}
	return err.Error()
}

func set(pairs ...string) []string {
	var args []string
	for _, pair := range pairs {
		args = append(args, "--set", pair)
	}
	return args
}

func (o objects) has(kind, name string) bool {
	return slices.ContainsFunc(o, func(u unstructured.Unstructured) bool { return u.GetKind() == kind && u.GetName() == name })
}

// get decodes an object strictly: a field that its type does not have fails the
// test, as it would be dropped by the API server.
func get[T any](t *testing.T, o objects, kind, name string) T {
	t.Helper()
	var typed T
	for _, object := range o {
		if object.GetKind() != kind || object.GetName() != name {
			continue
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &typed, true); err != nil {
			t.Fatalf("%s %s: %v", kind, name, err)
		}
		return typed
	}
	t.Fatalf("there is no %s %q", kind, name)
	return typed
}

// secretEntry is one entry of a rendered Secret.
func secretEntry(t *testing.T, o objects, name, key string) string {
	t.Helper()
	secret := get[corev1.Secret](t, o, "Secret", name)
	value, found := secret.Data[key]
	if !found {
		t.Fatalf("Secret %s has no %s", name, key)
	}
	return string(value)
}

// argument is the value of a flag in a container's arguments.
func argument(t *testing.T, container corev1.Container, flag string) string {
	t.Helper()
	for _, arg := range container.Args {
		if value, found := strings.CutPrefix(arg, flag+"="); found {
			return value
		}
	}
	t.Fatalf("there is no argument %s in %v", flag, container.Args)
	return ""
}
