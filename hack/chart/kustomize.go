package main

import (
	"bytes"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// kustomization makes config/default, config/manager and config/webhook of the
// chart's objects.
func kustomization(objects []unstructured.Unstructured, secretCommands string) (files, error) {
	out := files{
		"config/default/kustomization.yaml": []byte(defaultHeader(secretCommands) + resources(
			"namespace.yaml", "crd.yaml", "rbac.yaml", "store.yaml", "../manager", "../webhook")),
		"config/default/namespace.yaml":     []byte(namespaceObject),
		"config/manager/kustomization.yaml": []byte(madeFromChart + resources("manager.yaml")),
		"config/webhook/kustomization.yaml": []byte(madeFromChart + resources("webhook.yaml")),
	}
	for _, object := range objects {
		path := "config/" + place(object)
		text, err := yaml.Marshal(withoutHelm(object).Object)
		if err != nil {
			return nil, fmt.Errorf("write %s %q: %w", object.GetKind(), object.GetName(), err)
		}
		if len(out[path]) == 0 {
			out[path] = []byte(madeFromChart)
		}
		out[path] = append(bytes.Join([][]byte{out[path], []byte("---\n")}, nil), text...)
	}
	return out, nil
}

// place is the file, below config, that an object goes to.
func place(object unstructured.Unstructured) string {
	switch kind := object.GetKind(); kind {
	case "CustomResourceDefinition":
		return "default/crd.yaml"
	case "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding":
		return "default/rbac.yaml"
	case "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
		return "webhook/webhook.yaml"
	default:
		if object.GetLabels()["app.kubernetes.io/component"] == "store" {
			return "default/store.yaml"
		}
		if kind == "Service" && strings.HasSuffix(object.GetName(), "-webhook") {
			return "webhook/webhook.yaml"
		}
		return "manager/manager.yaml"
	}
}

// withoutHelm takes away what says that helm manages an object.
func withoutHelm(object unstructured.Unstructured) unstructured.Unstructured {
	object = *object.DeepCopy()
	labels := object.GetLabels()
	delete(labels, "helm.sh/chart")
	delete(labels, "app.kubernetes.io/managed-by")
	object.SetLabels(labels)
	if annotations := object.GetAnnotations(); annotations != nil {
		delete(annotations, "helm.sh/resource-policy")
		object.SetAnnotations(annotations)
	}
	return object
}

func resources(names ...string) string {
	return "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- " + strings.Join(names, "\n- ") + "\n"
}

const madeFromChart = "# Made from charts/bff-operator by `go run ./hack/chart`. Do not edit.\n"

const namespaceObject = madeFromChart + `apiVersion: v1
kind: Namespace
metadata:
  name: ` + namespace + `
  labels:
    pod-security.kubernetes.io/enforce: restricted
`

func defaultHeader(secretCommands string) string {
	var out strings.Builder
	out.WriteString(madeFromChart)
	out.WriteString(`#
# The operator and its session store without Helm, in the namespace ` + namespace + `.
# With Helm there is a choice of namespace, store and everything else in the
# chart's values, and it makes the store's password. Here you do, first:
#
#   kubectl apply -f config/default/namespace.yaml
`)
	for line := range strings.Lines(secretCommands) {
		out.WriteString("#   " + line)
	}
	out.WriteString(`#
# Then:
#
#   kubectl apply --server-side -k config/default
`)
	return out.String()
}
