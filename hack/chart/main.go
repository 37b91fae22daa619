// Command chart writes what the chart and the kustomization have in common with
// the Go sources, so that there is one source for each: the CRD and the rights
// that controller-gen made, the schema and the table of the chart's values, and
// config/default, which is the chart rendered.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/bff-operator/bff-operator/hack/chart/internal/helm"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, progress io.Writer) error {
	flags := flag.NewFlagSet("chart", flag.ContinueOnError)
	root := flags.String("root", ".", "the folder of the checkout")
	verify := flags.Bool("verify", false, "write nothing; fail when a file differs from what would be written")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("no argument is taken, but there is %q", flags.Arg(0))
	}
	renderer, err := helm.FindOrInstall(ctx, *root, progress)
	if err != nil {
		return err
	}
	finish := write
	if *verify {
		finish = compare
	}
	return generate(ctx, *root, renderer, finish)
}

// generate hands every generated file to finish: those of the chart first,
// since the others are rendered from it.
func generate(ctx context.Context, root string, renderer helm.Helm, finish func(root string, files files) error) error {
	chart, err := chartFiles(root)
	if err != nil {
		return err
	}
	ofChart := finish(root, chart)
	if ofChart != nil && !errors.As(ofChart, new(*staleError)) {
		return ofChart
	}
	rendered, err := renderedFiles(ctx, root, renderer)
	if err != nil {
		return errors.Join(ofChart, err)
	}
	return errors.Join(ofChart, finish(root, rendered))
}
