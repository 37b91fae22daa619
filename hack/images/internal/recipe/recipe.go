// Package recipe knows what is in each image of this repository.
package recipe

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/bff-operator/bff-operator/hack/images/internal/image"
)

// nonRoot is the user of every image: numeric, so that the kubelet can check
// runAsNonRoot without reading the image's /etc/passwd.
const (
	nonRoot = 65532
	user    = "65532:65532"
)

// Kitchen is where images are made.
type Kitchen struct {
	Root string // the repository
	Bin  string // where binaries are kept between runs, so that an unchanged one is not linked again
	Tag  string // the version told to binaries and labels
	// Binaries replaces the build of a Go image by a file already there, by image name.
	Binaries map[string]string
	Log      io.Writer // what go build and apt-get say
}

// Recipe is one image.
type Recipe struct {
	Title string
	// Portable tells that the image can be made for any architecture.
	Portable bool
	make     func(ctx context.Context, k Kitchen, name, architecture string) (image.Spec, error)
}

// All lists the images by name. The image of name N is localhost/N:TAG.
var All = map[string]Recipe{
	"bff-operator": goProgram("The operator: policies to sidecars", "", "."),
	"bff-sidecar":  goProgram("The Backend for Frontend that runs beside the application", "", "./sidecar"),
	"bff-demo":     goProgram("The demo: application, API and identity provider", "", "./hack/demo"),
	"pause":        goProgram("Process 1 of a pod sandbox", "hack/images", "./pause"),
	"coredns":      goProgram("The name server of the test cluster", "hack/cluster/coredns", "."),
	"bff-redis":    {Title: "The small session store", make: redis},
}

// Names lists every image, sorted.
func Names() []string { return slices.Sorted(maps.Keys(All)) }

// Make assembles the specification of the named image. It errs when there is
// no such image, when its parts cannot be built, or when it cannot be made for
// that architecture on this machine.
func Make(ctx context.Context, k Kitchen, name, architecture string) (image.Spec, error) {
	r, ok := All[name]
	if !ok {
		return image.Spec{}, fmt.Errorf("no image is called %q: write one of %s", name, strings.Join(Names(), ", "))
	}
	spec, err := r.make(ctx, k, name, architecture)
	if err != nil {
		return image.Spec{}, fmt.Errorf("image %q: %w", name, err)
	}
	spec.Architecture = architecture
	spec.User = user
	spec.Labels = labels(r.Title, k.Tag, spec.Labels)
	return spec, nil
}

// labels are the annotations of the OCI image specification; a recipe's own win.
func labels(title, version string, own map[string]string) map[string]string {
	all := map[string]string{
		"org.opencontainers.image.title":    title,
		"org.opencontainers.image.source":   "https://github.com/bff-operator/bff-operator",
		"org.opencontainers.image.version":  version,
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	maps.Copy(all, own)
	return all
}
