//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/stage"
)

// shop is the stage all tests stand on: the operator and the sample shop.
var shop *stage.Stage

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	shop = &stage.Stage{
		Root:        "../..",
		ImagePrefix: environment("IMAGE_PREFIX", "localhost"),
		ImageTag:    environment("IMAGE_TAG", "dev"),
		Progress:    os.Stdout,
	}
	setup, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	if err := shop.Install(setup); err != nil {
		return 1, err
	}

	forwarding, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { defer close(stopped); stage.RunAll(forwarding, stage.Forwards) }()
	defer func() { stop(); <-stopped }()
	if err := stage.WaitForAnswers(setup, stage.Forwards); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
