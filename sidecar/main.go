// Command bff-sidecar is the Backend for Frontend in front of one pod's
// application (RFC 10017 section 6.1).
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	_ "golang.org/x/crypto/x509roots/fallback" // the image has no files with certificate authorities
)

var version = "dev" // set by the linker

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// net/http says there what an upstream has sent where it should not have, and
	// nobody knows what that is. Everything of ours goes to a logger of its own.
	log.SetOutput(io.Discard)
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bff-sidecar:", err)
		os.Exit(1)
	}
}
