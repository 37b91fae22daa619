package control

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/layout"
)

func cluster(t *testing.T) *Cluster {
	t.Helper()
	return New(layout.Layout{Root: t.TempDir()}, io.Discard)
}

func TestTheNetworkInUseStays(t *testing.T) {
	c := cluster(t)
	other := netip.MustParsePrefix("10.77.0.0/16")
	if n, err := c.network(netip.Prefix{}); err != nil || n.Block != layout.DefaultNetwork {
		t.Errorf("without a wish: %s, %v", n.Block, err)
	}
	if n, err := c.network(other); err != nil || n.Block != other {
		t.Errorf("with a wish: %s, %v", n.Block, err)
	}
	if err := os.MkdirAll(c.Layout.State(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Layout.State("network"), []byte(other.String()+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if n, err := c.network(netip.Prefix{}); err != nil || n.Block != other {
		t.Errorf("in use: %s, %v", n.Block, err)
	}
	if _, err := c.network(layout.DefaultNetwork); err == nil || !strings.Contains(err.Error(), "run `down`") {
		t.Errorf("a wish for another than the one in use: %v", err)
	}
}

func TestUntilReturnsWhatKeptItWaiting(t *testing.T) {
	c := cluster(t)
	reason := errors.New("not yet")
	never := func(context.Context) error { return reason }
	if err := c.until(t.Context(), "x", 10*time.Millisecond, nil, never); !errors.Is(err, reason) {
		t.Errorf("%v", err)
	}
	ended := make(chan error, 1)
	dead := errors.New("it died")
	ended <- dead
	if err := c.until(t.Context(), "x", time.Minute, ended, never); !errors.Is(err, dead) {
		t.Errorf("%v", err)
	}
}

func TestReplaceLeavesAnUnchangedFileAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a", "b")
	for _, step := range []struct {
		content string
		changed bool
	}{{"one", true}, {"one", false}, {"two", true}} {
		changed, err := replace(file, []byte(step.content), 0o644)
		if err != nil || changed != step.changed {
			t.Errorf("%q: changed %t, want %t, %v", step.content, changed, step.changed, err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != step.content {
			t.Errorf("%q, want %q, %v", got, step.content, err)
		}
	}
}

func TestDownWithoutAClusterDoesNothing(t *testing.T) {
	c := cluster(t)
	if err := c.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(c.Layout.Root); err != nil || len(entries) > 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

// Two checkouts, or an ordinary cluster beside ours, must not meet.
func TestComponentsListenOnTheirOwnPortsAndWriteIntoTheStateFolder(t *testing.T) {
	if _, err := os.Stat("/usr/bin/containerd"); err != nil {
		t.Skip("containerd is not installed")
	}
	c := cluster(t)
	n, err := layout.Plan(layout.DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := components(c.Layout, n)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		for _, arg := range part.args {
			_, value, _ := strings.Cut(arg, "=")
			if filepath.IsAbs(value) && !strings.HasPrefix(value, c.Layout.State()+"/") {
				t.Errorf("%s: %s is outside of the state folder", part.name, arg)
			}
			for _, port := range []string{":2379", ":2380", ":6443", "=6443", "=10257", "=10259"} {
				if strings.HasSuffix(value, port) || strings.HasSuffix(arg, port) {
					t.Errorf("%s: %s is a usual port", part.name, arg)
				}
			}
		}
	}
}
