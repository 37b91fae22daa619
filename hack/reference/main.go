// Command reference writes docs/reference.md from the CRD, so that the
// reference says what the API server checks.
package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const (
	source = "config/crd/bff-operator.io_bffpolicies.yaml"
	target = "docs/reference.md"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func run() error {
	data, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("read CRD: %w", err)
	}
	var crd apiextensions.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &crd); err != nil {
		return fmt.Errorf("decode CRD %s: %w", source, err)
	}
	return os.WriteFile(target, render(crd), 0o644)
}

const preamble = `# Reference: %s, %s/%s

Generated from the CRD by ` + "`make generate`" + `. The rules below each field are
checked by the API server; their sentences are what ` + "`kubectl apply`" + ` answers.

`

func render(crd apiextensions.CustomResourceDefinition) []byte {
	var out bytes.Buffer
	version := crd.Spec.Versions[0]
	fmt.Fprintf(&out, preamble, crd.Spec.Names.Kind, crd.Spec.Group, version.Name)
	root := version.Schema.OpenAPIV3Schema
	for _, section := range []string{"spec", "status"} {
		schema := root.Properties[section]
		fmt.Fprintf(&out, "## %s\n\n%s\n\n", section, flow(schema.Description))
		fields(&out, section, schema)
	}
	return append(bytes.TrimRight(out.Bytes(), "\n"), '\n')
}

// fields writes the fields of an object, required ones first, each followed by
// its own.
func fields(out *bytes.Buffer, path string, schema apiextensions.JSONSchemaProps) {
	required := func(name string) int {
		if slices.Contains(schema.Required, name) {
			return 0
		}
		return 1
	}
	names := slices.SortedFunc(maps.Keys(schema.Properties), func(a, b string) int {
		return cmp.Or(cmp.Compare(required(a), required(b)), cmp.Compare(a, b))
	})
	for _, name := range names {
		field(out, path+"."+name, schema.Properties[name], required(name) == 0)
	}
}

func field(out *bytes.Buffer, path string, schema apiextensions.JSONSchemaProps, required bool) {
	facts := []string{typeOf(schema)}
	if required {
		facts = append(facts, "required")
	}
	if schema.Default != nil && string(schema.Default.Raw) != "{}" {
		facts = append(facts, "default `"+string(schema.Default.Raw)+"`")
	}
	fmt.Fprintf(out, "### `%s`\n\n*%s*\n\n", path, strings.Join(facts, ", "))
	if schema.Description != "" {
		fmt.Fprintf(out, "%s\n\n", flow(schema.Description))
	}
	rules := schema.XValidations
	if schema.Items != nil && schema.Items.Schema != nil {
		rules = append(slices.Clip(rules), schema.Items.Schema.XValidations...)
	}
	for _, rule := range rules {
		fmt.Fprintf(out, "- %s\n", rule.Message)
	}
	if len(rules) > 0 {
		out.WriteByte('\n')
	}
	if foreign(path) {
		return
	}
	fields(out, path, schema)
	if schema.Items != nil && schema.Items.Schema != nil {
		fields(out, path+"[]", *schema.Items.Schema)
	}
}

// foreign are types of Kubernetes itself, described in its own reference.
func foreign(path string) bool {
	return path == "spec.selector" || path == "status.conditions"
}

func typeOf(schema apiextensions.JSONSchemaProps) string {
	switch {
	case schema.XIntOrString:
		return "integer or string"
	case len(schema.Enum) > 0:
		var values []string
		for _, value := range schema.Enum {
			values = append(values, "`"+strings.Trim(string(value.Raw), `"`)+"`")
		}
		return "one of " + strings.Join(values, ", ")
	case schema.Type == "array" && schema.Items != nil && schema.Items.Schema != nil:
		return "list of " + typeOf(*schema.Items.Schema)
	default:
		return schema.Type
	}
}

// flow joins the lines of a comment into paragraphs.
func flow(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, paragraph := range paragraphs {
		paragraphs[i] = strings.Join(strings.Fields(paragraph), " ")
	}
	return strings.Join(paragraphs, "\n\n")
}
