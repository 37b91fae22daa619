package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/hack/chart/internal/helm"
)

// The release that everything is documented for.
const (
	release   = "bff"
	namespace = "bff-system"
)

// renderedFiles makes the files that show or are what the chart renders.
func renderedFiles(ctx context.Context, root string, renderer helm.Helm) (files, error) {
	chart := filepath.Join(root, chartDir)
	standard, err := render(ctx, renderer, chart)
	if err != nil {
		return nil, err
	}
	commands, err := secretCommands(standard)
	if err != nil {
		return nil, err
	}
	// What is checked in holds no password, so its owner makes the Secret.
	withoutSecret, err := render(ctx, renderer, chart, "--set", "store.embedded.existingSecret="+storeSecret)
	if err != nil {
		return nil, err
	}
	out, err := kustomization(withoutSecret, commands)
	if err != nil {
		return nil, err
	}
	if out[readme], err = documentation(root, commands); err != nil {
		return nil, err
	}
	return out, nil
}

// render returns the objects of the chart, installed as documented.
func render(ctx context.Context, renderer helm.Helm, chart string, args ...string) ([]unstructured.Unstructured, error) {
	text, err := renderer.Template(ctx, release, chart, append([]string{"--namespace", namespace}, args...)...)
	if err != nil {
		return nil, err
	}
	return decode(text)
}

func decode(text []byte) ([]unstructured.Unstructured, error) {
	var objects []unstructured.Unstructured
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		var object unstructured.Unstructured
		if err := yaml.UnmarshalStrict(document, &object.Object); err != nil {
			return nil, fmt.Errorf("read a rendered object: %w", err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}
