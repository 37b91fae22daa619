package world

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"text/template"
)

//go:embed files
var files embed.FS

// Render writes a configuration file from a template of an embedded folder.
func Render(from fs.FS, name, to string, values any) error {
	t, err := template.New("").Option("missingkey=error").ParseFS(from, name)
	if err != nil {
		return fmt.Errorf("read template %s: %w", name, err)
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644) // Apache's children have another user
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := t.Templates()[0].Execute(out, values); err != nil {
		out.Close()
		return fmt.Errorf("write configuration %s: %w", to, err)
	}
	return out.Close()
}
