package instructions

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/bff-operator/bff-operator/hack/bench/internal/subjects"
	"github.com/bff-operator/bff-operator/hack/bench/internal/window"
	"github.com/bff-operator/bff-operator/hack/bench/internal/world"
)

// environment makes one run like the next: one thread at a time runs Go code,
// and none is interrupted by time.
var environment = []string{"GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1"}

// counted runs a program in Valgrind's virtual CPU, which counts the
// instructions that the program executes in user mode and writes their number to
// a file when it ends.
func counted(file string) []string {
	return []string{"valgrind", "--tool=cachegrind", "--cache-sim=no", "--branch-sim=no", "--cachegrind-out-file=/dev/null", "--log-file=" + file}
}

// run starts a subject, makes a number of calls one after the other, ends it,
// and returns how many instructions it has executed from its start to its end.
func run(ctx context.Context, w *world.World, s *subjects.Subject, file string, calls int) (int64, error) {
	defer s.Stop()
	if err := s.Start(ctx, w); err != nil {
		return 0, err
	}
	if err := call(ctx, s.Request(), calls); err != nil {
		return 0, fmt.Errorf("call %s: %w", s.Name, err)
	}
	s.Stop()
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("read what Valgrind has counted: %w", err)
	}
	return parse(string(text))
}

func call(ctx context.Context, request window.Request, calls int) error {
	conn, err := window.Dial(ctx, request)
	if err != nil {
		return err
	}
	defer conn.Close()
	for range calls {
		status, err := conn.Call()
		switch {
		case err != nil:
			return err
		case status != http.StatusOK:
			return fmt.Errorf("status %d", status)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
	}
	return nil
}

var refs = regexp.MustCompile(`(?m)^==\d+== I +refs: +([0-9,]+)$`)

var errNoCount = errors.New("no count in the log of Valgrind: the sidecar was killed or has crashed")

// parse finds the count in Valgrind's log.
func parse(log string) (int64, error) {
	found := refs.FindStringSubmatch(log)
	if found == nil {
		return 0, fmt.Errorf("%w\n%s", errNoCount, log)
	}
	return strconv.ParseInt(strings.ReplaceAll(found[1], ",", ""), 10, 64)
}

func logOf(dir, name string) string { return filepath.Join(dir, name+"-count.log") }
