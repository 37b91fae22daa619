// Package helm finds the helm binary of this checkout and renders charts with
// it.
package helm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Version of helm that is installed when there is none.
const Version = "v3.22.0"

// KubernetesVersion is what charts are rendered for: the oldest one supported.
const KubernetesVersion = "1.33.0"

// ErrMissing says that the checkout has no helm yet.
var ErrMissing = errors.New("helm is missing in .cache/bin: run `make test`, which builds it")

// Helm is a helm binary.
type Helm struct{ path string }

// Find returns the helm of the checkout at root, or ErrMissing. A helm that the
// machine happens to have is not used: another version would render otherwise.
func Find(root string) (Helm, error) {
	path, err := filepath.Abs(filepath.Join(root, ".cache/bin/helm"))
	if err != nil {
		return Helm{}, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return Helm{}, ErrMissing
	} else if err != nil {
		return Helm{}, err
	}
	return Helm{path}, nil
}

// FindOrInstall is Find, but builds helm from the Go module proxy when it is
// missing.
func FindOrInstall(ctx context.Context, root string, progress io.Writer) (Helm, error) {
	found, err := Find(root)
	if !errors.Is(err, ErrMissing) {
		return found, err
	}
	bin, err := filepath.Abs(filepath.Join(root, ".cache/bin"))
	if err != nil {
		return Helm{}, err
	}
	fmt.Fprintln(progress, "Building helm", Version, "(1 to 3 minutes, once)")
	var output bytes.Buffer
	install := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags", "-s -w", "helm.sh/helm/v3/cmd/helm@"+Version)
	install.Env = append(os.Environ(), "GOBIN="+bin, "CGO_ENABLED=0")
	install.Stdout, install.Stderr = &output, &output
	if err := install.Run(); err != nil {
		return Helm{}, fmt.Errorf("build helm %s: %w: %s", Version, err, strings.TrimSpace(output.String()))
	}
	return Find(root)
}

// Template renders a chart as `helm template RELEASE CHART ARGS` does. The error
// holds what helm printed.
func (h Helm) Template(ctx context.Context, release, chart string, args ...string) ([]byte, error) {
	return h.Run(ctx, append([]string{"template", release, chart, "--kube-version", KubernetesVersion}, args...)...)
}

// Run runs helm and returns what it printed. The error holds what it printed on
// standard error.
func (h Helm) Run(ctx context.Context, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, h.path, args...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("helm %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}
