// Command bff-dev is the sidecar on a laptop: it reads the very policy that a
// cluster would get, keeps sessions in memory, and brings an identity provider
// along.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bff-dev:", err)
		os.Exit(1)
	}
}
