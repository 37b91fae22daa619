package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Every word that the sidecar may say when something fails stands in
// docs/errors.md, and no other does.
func TestErrorsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		first, _, _ := strings.Cut(line[2:], "|")
		for word := range strings.SplitSeq(first, ",") {
			documented[strings.Trim(word, " `")] = true
		}
	}

	internal := "../../sidecar/internal/"
	said := map[string]string{"other": "sidecar/internal/server"}
	for _, source := range []struct{ dir, typ string }{
		{"provider", "Reason"}, {"flow", "Reason"}, {"login", "flow.Reason"}, {"session", "EndReason"},
	} {
		for _, value := range constants(t, internal+source.dir, source.typ) {
			said[value] = source.dir
		}
	}
	for _, code := range codes(t, internal+"problem/kind.go") {
		said[code] = "problem"
	}
	delete(said, "ok")

	if len(said) < 80 {
		t.Fatalf("only %d words were found: this test looks in the wrong place", len(said))
	}
	for word, where := range said {
		if !documented[word] {
			t.Errorf("%q of package %s has no row in docs/errors.md", word, where)
		}
	}
	for word := range documented {
		if said[word] == "" {
			t.Errorf("docs/errors.md has a row for %q, which nothing says", word)
		}
	}
}

func files(t *testing.T, dir string) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob(dir + "/*.go")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	var parsed []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
	}
	return parsed
}

// constants are the values of a package's string constants of one type.
func constants(t *testing.T, dir, typ string) (values []string) {
	t.Helper()
	for _, file := range files(t, dir) {
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if spec.Type != nil && types.ExprString(spec.Type) == typ {
				for _, value := range spec.Values {
					if literal, ok := value.(*ast.BasicLit); ok {
						values = append(values, unquoted(t, literal))
					}
				}
			}
			return false
		})
	}
	return values
}

// codes are the codes in the catalogue of problems.
func codes(t *testing.T, path string) (values []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		pair, ok := node.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		if key, ok := pair.Key.(*ast.Ident); ok && key.Name == "code" {
			values = append(values, unquoted(t, pair.Value.(*ast.BasicLit)))
		}
		return true
	})
	return values
}

func unquoted(t *testing.T, literal *ast.BasicLit) string {
	t.Helper()
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
