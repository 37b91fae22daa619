package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// namedByChart are the resources whose name the chart chooses. In the markers
// they stand with the name that an installation as documented gives them.
var namedByChart = map[string]string{
	"mutatingwebhookconfigurations": `{{ include "bff-operator.webhookConfigurationName" . }}`,
}

// rightsTemplate makes two named templates of the roles that controller-gen
// wrote: the rules for the whole cluster, and those for the release's namespace.
func rightsTemplate(source []byte) ([]byte, error) {
	var out strings.Builder
	fmt.Fprintf(&out, generatedBy, rightsIn)
	seen := map[string]bool{}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(source)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		var role rbacv1.ClusterRole // a Role has no other fields than these
		if err := yaml.UnmarshalStrict(document, &role); err != nil {
			return nil, err
		}
		name, known := map[string]string{"ClusterRole": "clusterRoleRules", "Role": "roleRules"}[role.Kind]
		if !known {
			return nil, fmt.Errorf("there is a %q, which is neither Role nor ClusterRole", role.Kind)
		}
		if seen[role.Kind] {
			return nil, fmt.Errorf("there are two objects of kind %s: give the markers one namespace", role.Kind)
		}
		seen[role.Kind] = true
		rules, err := templatedRules(role.Rules)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", role.Kind, err)
		}
		fmt.Fprintf(&out, "\n{{- define \"bff-operator.%s\" -}}\n%s{{- end }}\n", name, rules)
	}
	for _, kind := range []string{"ClusterRole", "Role"} {
		if !seen[kind] {
			return nil, fmt.Errorf("there is no %s", kind)
		}
	}
	return []byte(out.String()), nil
}

func templatedRules(rules []rbacv1.PolicyRule) ([]byte, error) {
	for i, rule := range rules {
		for _, resource := range rule.Resources {
			name, ours := namedByChart[resource]
			if !ours {
				continue
			}
			if len(rule.ResourceNames) != 1 {
				return nil, fmt.Errorf("the rule about %s must name one object, and names %d", resource, len(rule.ResourceNames))
			}
			rules[i].ResourceNames = []string{name}
		}
		if slices.Contains(rule.Verbs, "*") || slices.Contains(rule.Resources, "*") || slices.Contains(rule.APIGroups, "*") {
			return nil, fmt.Errorf("rule %d has a wildcard: name what is needed", i)
		}
	}
	text, err := yaml.Marshal(rules)
	if err != nil {
		return nil, err
	}
	// YAML quotes a template's braces with single quotes, which the template
	// engine leaves alone.
	return text, nil
}
