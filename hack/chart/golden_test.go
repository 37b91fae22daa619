package main

import (
	"bytes"
	"encoding/base64"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write what is rendered as the new golden files")

// Every testdata/NAME.values.yaml renders to testdata/NAME.golden.yaml. The CRD
// is left out: it has a test of its own.
func TestGoldens(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(inputs) < 4 {
		t.Fatalf("only %d inputs were found", len(inputs))
	}
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), ".values.yaml")
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			for _, object := range rendered(t, "--values", input) {
				if object.GetKind() == "CustomResourceDefinition" {
					continue
				}
				steady(t, object)
				text, err := yaml.Marshal(object.Object)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("---\n")
				got.Write(text)
			}
			golden := filepath.Join("testdata", name+".golden.yaml")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("%s is not what is rendered. If it should change: go test ./hack/chart -update\n%s", golden, firstDifference(string(want), got.String()))
			}
		})
	}
}

// steady puts words in place of what is random.
func steady(t *testing.T, object unstructured.Unstructured) {
	t.Helper()
	if object.GetKind() == "Secret" {
		users, _, _ := unstructured.NestedString(object.Object, "data", "users.acl")
		text, err := base64.StdEncoding.DecodeString(users)
		if err != nil {
			t.Fatal(err)
		}
		object.Object["data"] = map[string]any{
			"password":  "(random, in base64)",
			"users.acl": "(in base64) " + passwordHash.ReplaceAllString(string(text), "#(hash)"),
		}
	}
	path := []string{"spec", "template", "metadata", "annotations", "checksum/users"}
	if _, found, _ := unstructured.NestedString(object.Object, path...); found {
		if err := unstructured.SetNestedField(object.Object, "(of the random password)", path...); err != nil {
			t.Fatal(err)
		}
	}
}

func firstDifference(want, got string) string {
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(wants), len(gots)) {
		if wants[i] != gots[i] {
			return "want: " + wants[i] + "\ngot:  " + gots[i]
		}
	}
	return "one is longer than the other"
}
