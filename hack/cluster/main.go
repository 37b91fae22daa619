// Command cluster runs a real one-node Kubernetes without Docker: it compiles
// Kubernetes from its Go modules and starts it on this machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/build"
	"github.com/bff-operator/bff-operator/hack/cluster/internal/control"
	"github.com/bff-operator/bff-operator/hack/cluster/internal/layout"
)

const usage = `cluster runs a real one-node Kubernetes without Docker.

  cluster build [--for cluster|envtest]
        compiles what is not up to date into .cache/bin. For envtest: etcd, kube-apiserver and
        kubectl, nothing else; then KUBEBUILDER_ASSETS is .cache/bin
  cluster up [--network 10.N.0.0/16]
        builds, starts and waits until pods can run. What already runs stays. Needs root
  cluster load IMAGE.tar...
        gives images to the cluster. Relative files start at the repository
  cluster status
        prints what runs; exit status 1 unless everything does
  cluster down
        stops everything and puts the machine back as it was. Binaries and images stay

State is in .cache/cluster, the kubeconfig is .cache/cluster/kubeconfig.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("no command: write up, down, status, build or load (--help says more)")
	}
	command, rest := args[0], args[1:]
	if command == "help" || command == "-h" || command == "-help" || command == "--help" {
		_, err := fmt.Fprint(out, usage)
		return err
	}
	l, err := layout.Find()
	if err != nil {
		return err
	}
	cluster := control.New(l, out)
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	switch command {
	case "build":
		purpose := flags.String("for", "cluster", "what the binaries are for: cluster or envtest")
		if err := flags.Parse(rest); err != nil {
			return err
		}
		return build.Build(ctx, l, *purpose, out)
	case "up":
		var network netip.Prefix
		flags.TextVar(&network, "network", netip.Prefix{}, "address block of the cluster, a private /16")
		if err := flags.Parse(rest); err != nil {
			return err
		}
		return cluster.Up(ctx, network)
	case "down":
		return cluster.Down(ctx)
	case "status":
		return cluster.Status(ctx)
	case "load":
		return cluster.Load(ctx, rest...)
	default:
		return fmt.Errorf("no command %q: write up, down, status, build or load", command)
	}
}
