package prepare

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bff-operator/bff-operator/hack/bench/internal/process"
)

const (
	module = "github.com/bff-operator/bff-operator"

	oauth2Module = "github.com/oauth2-proxy/oauth2-proxy/v7"
	// OAuth2Version is what is compared.
	OAuth2Version = "v7.15.4"
)

// linked is how `make build` builds, and how oauth2-proxy is released.
var linked = []string{"-trimpath", "-ldflags", "-s -w"}

// Sidecar builds bff-sidecar as `make build` does, into a folder.
func Sidecar(ctx context.Context, dir string) (string, error) {
	return build(ctx, filepath.Join(dir, "bff-sidecar"), module+"/sidecar")
}

// ReverseProxy builds the plain proxy of the standard library, into a folder.
func ReverseProxy(ctx context.Context, dir string) (string, error) {
	return build(ctx, filepath.Join(dir, "reverseproxy"), module+"/hack/bench/reverseproxy")
}

func build(ctx context.Context, to, target string) (string, error) {
	arguments := append([]string{"build"}, linked...)
	_, err := process.Run(ctx, []string{"CGO_ENABLED=0"}, "go", append(arguments, "-o", to, target)...)
	return to, err
}

// Root is the folder of the checkout.
func Root(ctx context.Context) (string, error) {
	dir, err := process.Run(ctx, nil, "go", "list", "-m", "-f", "{{.Dir}}", module)
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	return strings.TrimSpace(dir), nil
}

// OAuth2Proxy builds oauth2-proxy into .cache/bin of the checkout, unless that
// version is there.
func OAuth2Proxy(ctx context.Context) (string, error) {
	root, err := Root(ctx)
	if err != nil {
		return "", err
	}
	bin := filepath.Join(root, ".cache", "bin")
	path := filepath.Join(bin, "oauth2-proxy")
	if info, err := buildinfo.ReadFile(path); err == nil && info.Main.Path == oauth2Module && info.Main.Version == OAuth2Version {
		return path, nil
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	arguments := append([]string{"install"}, linked...)
	_, err = process.Run(ctx, []string{"CGO_ENABLED=0", "GOBIN=" + bin}, "go", append(arguments, oauth2Module+"@"+OAuth2Version)...)
	return path, err
}
