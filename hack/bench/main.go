// Command bench measures what the sidecar costs.
//
//	go run ./hack/bench rivals         against other session proxies
//	go run ./hack/bench instructions   in instructions, against a budget
//	go run ./hack/bench loads          what scales: logins, refreshes, memory, the start
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/bff-operator/bff-operator/hack/bench/internal/instructions"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loads"
	"github.com/bff-operator/bff-operator/hack/bench/internal/rivals"
)

const usage = `Measures what the sidecar costs.

Usage:
  go run ./hack/bench rivals [flags]         an authenticated call, against other session proxies
  go run ./hack/bench instructions [flags]   an authenticated call in instructions, against a budget
  go run ./hack/bench loads [flags]          logins, refreshes, logouts, memory, the start, new connections, bodies

Each prints its flags with --help.
`

var commands = map[string]func(ctx context.Context, args []string, stdout io.Writer) error{
	"rivals":       rivals.Run,
	"instructions": instructions.Run,
	"loads":        loads.Run,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" {
		_, err := fmt.Fprint(stdout, usage)
		return err
	}
	command, there := commands[args[0]]
	if !there {
		return fmt.Errorf("there is no command %q: see go run ./hack/bench help", args[0])
	}
	return command(ctx, args[1:], stdout)
}
