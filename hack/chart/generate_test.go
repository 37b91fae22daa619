package main

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	if err := generate(t.Context(), root, theHelm(t), compare); err != nil {
		t.Fatal(err)
	}
}

// A changed, a missing and an unchanged file: only the first two are stale.
func TestCompareNamesWhatIsStale(t *testing.T) {
	dir := t.TempDir()
	if err := write(dir, files{"a/same": []byte("1"), "a/changed": []byte("1")}); err != nil {
		t.Fatal(err)
	}
	var stale *staleError
	err := compare(dir, files{"a/same": []byte("1"), "a/changed": []byte("2"), "b/missing": []byte("3")})
	if !errors.As(err, &stale) || !slices.Equal(stale.paths, []string{"a/changed", "b/missing"}) {
		t.Fatalf("compare: %v", err)
	}
	if !strings.Contains(err.Error(), "make generate") {
		t.Errorf("%q does not say what to do", err)
	}
}

// The chart installs the CRD that controller-gen made, field by field.
func TestChartAndConfigHaveTheSameDefinition(t *testing.T) {
	var want apiextensionsv1.CustomResourceDefinition
	source, err := os.ReadFile(filepath.Join(root, definitionIn))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(source, &want); err != nil {
		t.Fatal(err)
	}
	got := get[apiextensionsv1.CustomResourceDefinition](t, rendered(t), "CustomResourceDefinition", want.Name)
	if asYAML(t, got.Spec) != asYAML(t, want.Spec) {
		t.Errorf("%s", firstDifference(asYAML(t, want.Spec), asYAML(t, got.Spec)))
	}
}

func TestChartAndConfigHaveTheSameRights(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, rightsIn))
	if err != nil {
		t.Fatal(err)
	}
	roles, err := decode(source)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range roles {
		want := get[rbacv1.ClusterRole](t, objects{role}, role.GetKind(), role.GetName())
		got := get[rbacv1.ClusterRole](t, rendered(t), role.GetKind(), "bff-operator")
		if asYAML(t, got.Rules) != asYAML(t, want.Rules) {
			t.Errorf("%s: %s", role.GetKind(), firstDifference(asYAML(t, want.Rules), asYAML(t, got.Rules)))
		}
	}
}

func TestRightsThatAreRefused(t *testing.T) {
	const role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r}\nrules: []\n"
	const clusterRole = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\n"
	for say, test := range map[string]struct{ source, want string }{
		"a wildcard":                     {clusterRole + `rules: [{apiGroups: [""], resources: ["*"], verbs: [get]}]`, "wildcard"},
		"every webhook configuration":    {clusterRole + `rules: [{apiGroups: [a], resources: [mutatingwebhookconfigurations], verbs: [patch]}]`, "must name one object"},
		"roles for two namespaces":       {role + "---\n" + role, "two objects of kind Role"},
		"something else":                 {"kind: Pod\n", `"Pod"`},
		"no role for the own namespace":  {clusterRole + "rules: []", "no Role"},
		"a field that a role has not":    {clusterRole + "rulez: []", "rulez"},
		"something that is no role list": {"just text", "cannot unmarshal"},
	} {
		t.Run(say, func(t *testing.T) {
			_, err := rightsTemplate([]byte(test.source))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v does not mention %q", err, test.want)
			}
		})
	}
}

// Text of a CRD is never taken for a template.
func TestDefinitionIsEscaped(t *testing.T) {
	const source = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: n}\nspec:\n  group: '{{ fail }}'\n"
	template, err := definitionTemplate([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(template), `'{{ "{{" }} fail }}'`) {
		t.Errorf("the template is %s", template)
	}
}

func TestKustomizationIsTheChart(t *testing.T) {
	kubectl, err := filepath.Abs(filepath.Join(root, ".cache/bin/kubectl"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kubectl); err != nil {
		t.Fatalf("kubectl is missing in .cache/bin: run `make test`, which builds it: %v", err)
	}
	text, err := exec.CommandContext(t.Context(), kubectl, "kustomize", filepath.Join(root, "config/default")).Output()
	if err != nil {
		t.Fatal(err)
	}
	built, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"Namespace " + namespace: 1}
	for _, object := range rendered(t, existingSecret...) {
		want[object.GetKind()+" "+object.GetName()]++
	}
	got := map[string]int{}
	for _, object := range built {
		got[object.GetKind()+" "+object.GetName()]++
		if managed := object.GetLabels()["app.kubernetes.io/managed-by"]; managed != "" {
			t.Errorf("%s %s claims to be managed by %s", object.GetKind(), object.GetName(), managed)
		}
		if object.GetKind() == "Secret" {
			t.Errorf("Secret %s is checked in", object.GetName())
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("kustomize builds %v, the chart renders %v", got, want)
	}
}

func asYAML(t *testing.T, value any) string {
	t.Helper()
	text, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
