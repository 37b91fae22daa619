package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/bff-operator/bff-operator/hack/chart/internal/values"
)

// Paths in the checkout.
const (
	chartDir      = "charts/bff-operator"
	definitionIn  = "config/crd/bff-operator.io_bffpolicies.yaml"
	definitionOut = chartDir + "/templates/crds/bff-operator.io_bffpolicies.yaml"
	rightsIn      = "config/rbac/role.yaml"
	rightsOut     = chartDir + "/templates/rbac/_rules.tpl"
	valuesIn      = chartDir + "/values.yaml"
	schemaOut     = chartDir + "/values.schema.json"
	readme        = chartDir + "/README.md"
)

// chartFiles makes the generated files of the chart that no rendering is needed
// for.
func chartFiles(root string) (files, error) {
	out := files{}
	for _, step := range []struct {
		from, to string
		make     func(source []byte) ([]byte, error)
	}{
		{definitionIn, definitionOut, definitionTemplate},
		{rightsIn, rightsOut, rightsTemplate},
		{valuesIn, schemaOut, schema},
	} {
		source, err := os.ReadFile(filepath.Join(root, step.from))
		if err != nil {
			return nil, fmt.Errorf("read the source of %s: %w", step.to, err)
		}
		if out[step.to], err = step.make(source); err != nil {
			return nil, fmt.Errorf("make %s from %s: %w", step.to, step.from, err)
		}
	}
	return out, nil
}

func schema(source []byte) ([]byte, error) {
	tree, err := values.Parse(source)
	if err != nil {
		return nil, err
	}
	return tree.Schema("Values of the bff-operator chart")
}

// documentation is the chart's README with a fresh table of values and the
// commands that make a Secret for the store.
func documentation(root, secretCommands string) ([]byte, error) {
	source, err := os.ReadFile(filepath.Join(root, valuesIn))
	if err != nil {
		return nil, err
	}
	tree, err := values.Parse(source)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", valuesIn, err)
	}
	table, err := tree.Table()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, readme))
	if err != nil {
		return nil, err
	}
	parts := string(text)
	for part, content := range map[string]string{"values": table, "secret": "```sh\n" + secretCommands + "```\n"} {
		if parts, err = embed(parts, part, content); err != nil {
			return nil, fmt.Errorf("%s: %w", readme, err)
		}
	}
	return []byte(parts), nil
}
