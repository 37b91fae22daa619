//go:build conformance

package conformance

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/pki"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/redis"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rows"
)

// binaryVariable names a bff-sidecar to test in place of one that is built from
// the sources.
const binaryVariable = "BFF_SIDECAR"

// What all tests share.
var (
	book        *rows.Book
	binary      string
	sharedStore *redis.Server
	authority   *pki.Authority // that everything in the kit with TLS has its certificate from
)

// covers says which rows the test proves: they pass if it passes, and all other
// tests that cover them.
func covers(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if !book.Has(id) {
			t.Fatalf("rows.yaml has no row %s", id)
		}
		t.Cleanup(func() {
			state := rows.Passed
			switch {
			case t.Failed():
				state = rows.Failed
			case t.Skipped():
				state = rows.Skipped
			}
			book.Note(id, t.Name(), state)
		})
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// atOnce is how many tests run in parallel: each has a sidecar, a provider and
// an API of its own, and waits more than it computes.
const atOnce = 4

func run(m *testing.M) (code int, err error) {
	if book, err = openBook(); err != nil {
		return 1, err
	}
	if err := flag.Set("test.parallel", strconv.Itoa(atOnce)); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "bff-conformance-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if binary, err = sidecarBinary(dir); err != nil {
		return 1, err
	}
	if sharedStore, err = redis.New(dir); err != nil {
		return 1, err
	}
	defer sharedStore.Kill()
	if authority, err = pki.NewAuthority(); err != nil {
		return 1, err
	}

	code = m.Run()
	if err := printMeasurements(os.Stdout); err != nil {
		return code, err
	}
	complete := true
	for _, name := range []string{"test.run", "test.skip"} {
		complete = complete && flag.Lookup(name).Value.String() == ""
	}
	return code, book.Table(os.Stdout, complete && flag.Lookup("test.list").Value.String() == "")
}

func openBook() (*rows.Book, error) {
	list, err := os.ReadFile("rows.yaml")
	if err != nil {
		return nil, err
	}
	argued, err := os.ReadFile("notcovered.yaml")
	if err != nil {
		return nil, err
	}
	return rows.Open(list, argued)
}

// sidecarBinary is the binary to drive, built as it is shipped.
func sidecarBinary(dir string) (string, error) {
	if given := os.Getenv(binaryVariable); given != "" {
		return filepath.Abs(given)
	}
	path := filepath.Join(dir, "bff-sidecar")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=conformance", "-o", path, "../../sidecar")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build the sidecar: %w", err)
	}
	return path, nil
}
