package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const generatedBy = `{{/* Made by "go run ./hack/chart" from %s. Do not edit. */}}
`

// definitionTemplate makes a template of a CRD: the same spec, to the byte, with
// metadata of the chart. A CRD in the crds folder of a chart would never be
// upgraded.
func definitionTemplate(source []byte) ([]byte, error) {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(source, &definition); err != nil {
		return nil, err
	}
	if definition.Kind != "CustomResourceDefinition" {
		return nil, fmt.Errorf("it is a %q, not a CustomResourceDefinition", definition.Kind)
	}
	_, spec, found := bytes.Cut(source, []byte("\nspec:\n"))
	if !found {
		return nil, errors.New("it has no spec")
	}
	var out strings.Builder
	fmt.Fprintf(&out, generatedBy, definitionIn)
	fmt.Fprintf(&out, `{{- if .Values.crds.enabled }}
apiVersion: %s
kind: CustomResourceDefinition
metadata:
  name: %s
  labels:
    {{- include "bff-operator.labels" (dict "root" . "component" "crd") | nindent 4 }}
  annotations:
`, definition.APIVersion, definition.Name)
	annotations, err := yaml.Marshal(definition.Annotations)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(annotations)) {
		out.WriteString("    " + escape(line))
	}
	out.WriteString(`    {{- if .Values.crds.keep }}
    # Uninstalling the chart takes no policy away.
    helm.sh/resource-policy: keep
    {{- end }}
spec:
`)
	out.WriteString(strings.TrimRight(escape(string(spec)), "\n") + "\n{{- end }}\n")
	return []byte(out.String()), nil
}

// escape keeps the template engine from reading text as its own.
func escape(text string) string {
	return strings.ReplaceAll(text, "{{", `{{ "{{" }}`)
}
