// Package values reads a chart's values.yaml with its comments, and makes a JSON
// Schema and a table for people of it. What is said once cannot drift apart.
//
// Every key needs a comment. A comment line that starts with "+schema" is
// followed by JSON that is laid over the schema inferred from the default; when
// it has a "type", the value is taken as a whole.
package values

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Tree is a values.yaml.
type Tree struct{ root value }

// value is one key: a group of further keys, or a leaf with a default.
type value struct {
	path        string
	name        string
	description string
	overlay     map[string]any
	inferred    string
	fallback    any
	children    []value
}

func (v value) leaf() bool { return len(v.children) == 0 }

// Parse reads a values.yaml. It refuses a key without a comment, and a default
// that does not tell its type, such as an empty map, without a "+schema" line
// that does.
func Parse(source []byte) (Tree, error) {
	var document yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(source)).Decode(&document); err != nil {
		return Tree{}, err
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return Tree{}, errors.New("values must be one map")
	}
	root := value{}
	children, problems := parseMap(document.Content[0], "")
	root.children = children
	return Tree{root}, errors.Join(problems...)
}

func parseMap(node *yaml.Node, prefix string) (children []value, problems []error) {
	for i := 0; i < len(node.Content); i += 2 {
		child, found := parseValue(node.Content[i], node.Content[i+1], prefix)
		children = append(children, child)
		problems = append(problems, found...)
	}
	return children, problems
}

func parseValue(key, node *yaml.Node, prefix string) (value, []error) {
	parsed := value{name: key.Value, path: prefix + key.Value}
	refuse := func(format string, args ...any) []error {
		return []error{fmt.Errorf("line %d: %s: %s", key.Line, parsed.path, fmt.Sprintf(format, args...))}
	}
	var err error
	if parsed.description, parsed.overlay, err = parseComment(key.HeadComment); err != nil {
		return parsed, refuse("%v", err)
	}
	if parsed.description == "" {
		return parsed, refuse("has no comment")
	}
	if _, whole := parsed.overlay["type"]; !whole {
		switch {
		case node.Kind == yaml.MappingNode && len(node.Content) > 0:
			var problems []error
			parsed.children, problems = parseMap(node, parsed.path+".")
			return parsed, problems
		case node.Kind == yaml.ScalarNode && types[node.Tag] != "":
			parsed.inferred = types[node.Tag]
		default:
			return parsed, refuse(`its default does not tell its type: add # +schema {"type": ...}`)
		}
	}
	if err := node.Decode(&parsed.fallback); err != nil {
		return parsed, refuse("%v", err)
	}
	return parsed, nil
}

// types are the JSON Schema types of YAML tags.
var types = map[string]string{"!!str": "string", "!!int": "integer", "!!bool": "boolean", "!!float": "number"}

func parseComment(comment string) (description string, overlay map[string]any, err error) {
	// What stands above a blank line belongs to no key.
	if i := strings.LastIndex(comment, "\n\n"); i >= 0 {
		comment = comment[i+2:]
	}
	var words []string
	for line := range strings.Lines(comment) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "#"))
		if text, found := strings.CutPrefix(line, "+schema "); found {
			if overlay != nil {
				return "", nil, errors.New("has two +schema lines")
			}
			if err := json.Unmarshal([]byte(text), &overlay); err != nil {
				return "", nil, fmt.Errorf("its +schema is no JSON object: %w", err)
			}
		} else if line != "" {
			words = append(words, line)
		}
	}
	return strings.Join(words, " "), overlay, nil
}
