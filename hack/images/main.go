// Command images assembles this repository's container images without a
// container engine, the same to the byte every time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/bff-operator/bff-operator/hack/images/internal/image"
	"github.com/bff-operator/bff-operator/hack/images/internal/recipe"
)

const usage = `images assembles container images without a container engine.

  images build --out DIR --tag TAG [--binary NAME=FILE]... NAME...
        writes DIR/NAME.tar, the image localhost/NAME:TAG, for ctr images import or docker load
  images push --to REGISTRY/PATH --tag TAG [--platform linux/amd64,linux/arm64] NAME...
        pushes REGISTRY/PATH/NAME:TAG for all these platforms, with the credentials of docker login
  images list
        names the images

NAME is one of %s.
--binary takes a file in place of building the image's program.
Relative folders start at the repository, wherever the command is called from.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("no command: write build, push or list (--help says more)")
	}
	root, err := repository()
	if err != nil {
		return err
	}
	switch command, rest := args[0], args[1:]; command {
	case "build":
		return build(ctx, root, rest, stdout, stderr)
	case "push":
		return push(ctx, root, rest, stdout, stderr)
	case "list":
		_, err := fmt.Fprintln(stdout, strings.Join(recipe.Names(), "\n"))
		return err
	case "help", "-h", "-help", "--help":
		_, err := fmt.Fprintf(stdout, usage, strings.Join(recipe.Names(), ", "))
		return err
	default:
		return fmt.Errorf("no command %q: write build, push or list", command)
	}
}

func build(ctx context.Context, root string, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("out", ".cache/images", "folder to write NAME.tar to")
	kitchen := recipe.Kitchen{Root: root, Bin: filepath.Join(root, ".cache/images/bin"), Log: stderr, Binaries: map[string]string{}}
	flags.StringVar(&kitchen.Tag, "tag", "dev", "tag of the images and version of their binaries")
	flags.Func("binary", "NAME=FILE: the program to put into image NAME", func(value string) error {
		name, file, ok := strings.Cut(value, "=")
		if !ok {
			return errors.New("write NAME=FILE")
		}
		kitchen.Binaries[name] = within(root, file)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return fmt.Errorf("no image named: write some of %s", strings.Join(recipe.Names(), ", "))
	}
	for _, name := range flags.Args() {
		began := time.Now()
		spec, err := recipe.Make(ctx, kitchen, name, runtime.GOARCH)
		if err != nil {
			return err
		}
		img, err := image.Build(spec)
		if err != nil {
			return fmt.Errorf("image %q: %w", name, err)
		}
		reference := "localhost/" + name + ":" + kitchen.Tag
		file := filepath.Join(within(root, *out), name+".tar")
		if err := image.Save(file, reference, img); err != nil {
			return err
		}
		info, err := os.Stat(file)
		if err != nil {
			return fmt.Errorf("measure %q: %w", file, err)
		}
		fmt.Fprintf(stdout, "%-32s %6.1f MB  %5.1fs  %s\n", reference, float64(info.Size())/1e6, time.Since(began).Seconds(), file)
	}
	return nil
}

// repository finds the checkout this module lies in, above the working folder.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working folder: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "hack/images/go.mod")); err == nil {
			return dir, nil
		}
		if dir == "/" {
			return "", errors.New("run this inside the checkout: go -C hack/images run . COMMAND")
		}
	}
}

// within makes a folder the user named absolute. `go -C` changes the working
// folder, so relative ones are taken from the repository.
func within(root, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}
