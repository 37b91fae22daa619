package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bff-operator/bff-operator/hack/images/internal/image"
	"github.com/bff-operator/bff-operator/hack/images/internal/recipe"
)

// push builds the named images for every platform and uploads each as one index.
func push(ctx context.Context, root string, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("push", flag.ContinueOnError)
	flags.SetOutput(stderr)
	to := flags.String("to", "", "registry and path to push below, such as ghcr.io/example")
	platforms := flags.String("platform", "linux/amd64,linux/arm64", "platforms, comma separated")
	kitchen := recipe.Kitchen{Root: root, Bin: filepath.Join(root, ".cache/images/bin"), Log: stderr}
	flags.StringVar(&kitchen.Tag, "tag", "", "tag of the images and version of their binaries")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *to == "" || kitchen.Tag == "" || flags.NArg() == 0 {
		return errors.New("write push --to REGISTRY/PATH --tag TAG NAME")
	}
	architectures, err := architectures(*platforms)
	if err != nil {
		return err
	}
	for _, imageName := range flags.Args() {
		reference, err := name.NewTag(*to+"/"+imageName+":"+kitchen.Tag, name.StrictValidation)
		if err != nil {
			return fmt.Errorf("reference of image %q: %w", imageName, err)
		}
		var images []v1.Image
		for _, architecture := range architectures {
			spec, err := recipe.Make(ctx, kitchen, imageName, architecture)
			if err != nil {
				return err
			}
			img, err := image.Build(spec)
			if err != nil {
				return fmt.Errorf("image %q: %w", imageName, err)
			}
			images = append(images, img)
		}
		index, err := image.Index(images...)
		if err != nil {
			return fmt.Errorf("image %q: %w", imageName, err)
		}
		if err := remote.WriteIndex(reference, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			return fmt.Errorf("push %q: %w", reference, err)
		}
		digest, err := index.Digest()
		if err != nil {
			return fmt.Errorf("digest of image %q: %w", imageName, err)
		}
		fmt.Fprintf(stdout, "%s@%s\n", reference, digest)
	}
	return nil
}

// architectures reads a list such as "linux/amd64,linux/arm64".
func architectures(platforms string) ([]string, error) {
	var all []string
	for platform := range strings.SplitSeq(platforms, ",") {
		os, architecture, ok := strings.Cut(platform, "/")
		if !ok || os != "linux" || architecture == "" || strings.Contains(architecture, "/") {
			return nil, fmt.Errorf("platform %q: write linux/amd64 or linux/arm64", platform)
		}
		all = append(all, architecture)
	}
	return all, nil
}
