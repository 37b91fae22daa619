package values

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

const sample = `# About the file.

# How many.
# +schema {"minimum": 1}
replicas: 2

# Where it is
# kept.
store:
  # Use | it.
  enabled: true
  # Labels.
  # +schema {"type": "object", "additionalProperties": {"type": "string"}}
  labels: {a: b}
`

func TestSchema(t *testing.T) {
	tree, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	text, err := tree.Schema("T")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
		"$schema": "http://json-schema.org/draft-07/schema#", "title": "T", "type": "object", "additionalProperties": false,
		"properties": {
			"replicas": {"description": "How many.", "type": "integer", "default": 2, "minimum": 1},
			"store": {"description": "Where it is kept.", "type": "object", "additionalProperties": false, "properties": {
				"enabled": {"description": "Use | it.", "type": "boolean", "default": true},
				"labels": {"description": "Labels.", "type": "object", "default": {"a": "b"}, "additionalProperties": {"type": "string"}}
			}}
		}}`
	if !reflect.DeepEqual(fromJSON(t, text), fromJSON(t, []byte(want))) {
		t.Errorf("the schema is %s", text)
	}
}

func TestTable(t *testing.T) {
	tree, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	got, err := tree.Table()
	if err != nil {
		t.Fatal(err)
	}
	const want = "| value | default | what it does |\n|---|---|---|\n" +
		"| `replicas` | `2` | How many. |\n" +
		"| **`store`** | | Where it is kept. |\n" +
		"| `store.enabled` | `true` | Use \\| it. |\n" +
		"| `store.labels` | `{\"a\":\"b\"}` | Labels. |\n"
	if got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for say, test := range map[string]struct{ source, want string }{
		"a key without a comment":            {"a: 1\n", "line 1: a: has no comment"},
		"a key deep down without a comment":  {"# A.\na:\n  b: 1\n", "line 3: a.b: has no comment"},
		"a comment that is only a schema":    {"# +schema {}\na: 1\n", "a: has no comment"},
		"an empty map of what":               {"# A.\na: {}\n", "a: its default does not tell its type"},
		"an empty list of what":              {"# A.\na: []\n", "a: its default does not tell its type"},
		"null":                               {"# A.\na: null\n", "a: its default does not tell its type"},
		"a schema that is no JSON":           {"# A.\n# +schema {minimum: 1}\na: 1\n", "a: its +schema is no JSON object"},
		"two schemas":                        {"# A.\n# +schema {}\n# +schema {}\na: 1\n", "a: has two +schema lines"},
		"a list of values":                   {"- 1\n", "must be one map"},
		"what stands above another key only": {"# About the file.\n\na: 1\n", "a: has no comment"},
	} {
		t.Run(say, func(t *testing.T) {
			_, err := Parse([]byte(test.source))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v does not mention %q", err, test.want)
			}
		})
	}
}

func fromJSON(t *testing.T, text []byte) any {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return value
}
