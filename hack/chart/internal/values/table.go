package values

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Table is a Markdown table of the values, with a line for each key.
func (t Tree) Table() (string, error) {
	var out strings.Builder
	out.WriteString("| value | default | what it does |\n|---|---|---|\n")
	for _, child := range t.root.children {
		if err := child.rows(&out); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

func (v value) rows(out *strings.Builder) error {
	description := cell(v.description)
	if !v.leaf() {
		fmt.Fprintf(out, "| **`%s`** | | %s |\n", v.path, description)
		for _, child := range v.children {
			if err := child.rows(out); err != nil {
				return err
			}
		}
		return nil
	}
	var fallback bytes.Buffer
	encoder := json.NewEncoder(&fallback)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v.fallback); err != nil {
		return fmt.Errorf("%s: %w", v.path, err)
	}
	fmt.Fprintf(out, "| `%s` | `%s` | %s |\n", v.path, cell(strings.TrimSpace(fallback.String())), description)
	return nil
}

// cell keeps a text from ending its cell.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
