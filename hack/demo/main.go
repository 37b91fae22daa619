// Command bff-demo is everything of the demo that is not the product: an identity provider, an API and the server of a
// single-page application, in one image.
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
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bff-demo:", err)
		os.Exit(1)
	}
}
