package values

import (
	"bytes"
	"encoding/json"
	"maps"
)

// Schema is a JSON Schema (draft 7, which helm reads) of the values. It is
// closed: a key that values.yaml does not have is refused.
func (t Tree) Schema(title string) ([]byte, error) {
	schema := t.root.schema()
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	schema["title"] = title
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (v value) schema() map[string]any {
	schema := map[string]any{}
	if v.description != "" {
		schema["description"] = v.description
	}
	if v.leaf() {
		schema["default"] = v.fallback
		if v.inferred != "" {
			schema["type"] = v.inferred
		}
	} else {
		properties := map[string]any{}
		for _, child := range v.children {
			properties[child.name] = child.schema()
		}
		schema["type"] = "object"
		schema["properties"] = properties
		schema["additionalProperties"] = false
	}
	maps.Copy(schema, v.overlay)
	return schema
}
