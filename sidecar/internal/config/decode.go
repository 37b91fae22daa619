package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"

	"sigs.k8s.io/json" // case-sensitive and strict, as an API server reads objects
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// Decode reads a BFFPolicy in YAML or JSON. A field that is not in the API, or
// that stands there twice, is an error that names it, and so is a second
// document, which would be ignored otherwise.
func Decode(data []byte) (*v1alpha1.BFFPolicy, error) {
	if n := documents(data); n > 1 {
		return nil, fmt.Errorf("the file holds %d documents: put the BFFPolicy in a file of its own", n)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("the file is empty: write a BFFPolicy into it")
	}
	document, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("read YAML: %w", err)
	}
	policy := new(v1alpha1.BFFPolicy)
	unknown, err := json.UnmarshalStrict(document, policy)
	if err != nil {
		return nil, fmt.Errorf("read BFFPolicy: %w", err)
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("read BFFPolicy: %w", errors.Join(unknown...))
	}
	return policy, nil
}

var separator = regexp.MustCompile(`(?m)^---(?:[ \t].*)?\r?$`)

// documents counts the documents that hold more than comments.
func documents(data []byte) int {
	n := 0
	for _, document := range separator.Split(string(data), -1) {
		var content any
		if err := yaml.Unmarshal([]byte(document), &content); err != nil || content != nil {
			n++
		}
	}
	return n
}
