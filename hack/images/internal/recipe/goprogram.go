package recipe

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bff-operator/bff-operator/hack/images/internal/image"
)

// goProgram is an image with one static binary in it, called by the image's
// name, built from a package of the module in folder dir of the repository.
func goProgram(title, dir, pkg string) Recipe {
	return Recipe{Title: title, Portable: true, make: func(ctx context.Context, k Kitchen, name, architecture string) (image.Spec, error) {
		binary := k.Binaries[name]
		if binary == "" {
			var err error
			binary, err = build(ctx, k, filepath.Join(k.Root, dir), pkg, name, architecture)
			if err != nil {
				return image.Spec{}, err
			}
		}
		return image.Spec{
			Files:      []image.File{{Path: "/" + name, Source: binary, Mode: 0o755}},
			Entrypoint: []string{"/" + name},
			WorkingDir: "/",
		}, nil
	}}
}

// build compiles a static binary that says nothing about this machine.
func build(ctx context.Context, k Kitchen, dir, pkg, name, architecture string) (string, error) {
	binary := filepath.Join(k.Bin, architecture, name)
	// The version goes through the linker. VCS stamping is off: it would make
	// two builds of the same files differ by the state of the checkout.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X main.version="+k.Tag, "-o", binary, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture)
	cmd.Stdout, cmd.Stderr = k.Log, k.Log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go build %s in %s: %w", pkg, dir, err)
	}
	return binary, nil
}
