package build

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/layout"
)

// progressEvery is how often a running compilation says where it is.
const progressEvery = 15 * time.Second

// Build makes the binaries for a purpose: cluster, or envtest, which needs no
// more than etcd, kube-apiserver and kubectl. What is up to date is skipped.
func Build(ctx context.Context, l layout.Layout, purpose string, out io.Writer) error {
	names, ok := sets[purpose]
	if !ok {
		return fmt.Errorf("nothing is built for %q: write one of %s", purpose, strings.Join(slices.Sorted(maps.Keys(sets)), ", "))
	}
	if err := os.MkdirAll(l.Bin(), 0o755); err != nil {
		return fmt.Errorf("make the folder of the binaries: %w", err)
	}
	for _, t := range targets {
		if !slices.Contains(names, t.name) {
			continue
		}
		if err := ensure(ctx, l, t, out); err != nil {
			return fmt.Errorf("build %s: %w", t.name, err)
		}
	}
	return nil
}

func ensure(ctx context.Context, l layout.Layout, t target, out io.Writer) error {
	folder := filepath.Join(l.Root, "hack/cluster")
	stamp, err := t.stamp(folder)
	if err != nil {
		return err
	}
	stampFile := l.Bin("." + t.name + ".stamp")
	former, _ := os.ReadFile(stampFile) // none: build
	if _, err := os.Stat(l.Bin(t.name)); err != nil || string(former) != stamp {
		if err := compile(ctx, l, t, filepath.Join(folder, t.module), out); err != nil {
			return err
		}
		if err := os.WriteFile(stampFile, []byte(stamp), 0o644); err != nil {
			return fmt.Errorf("write stamp: %w", err)
		}
	}
	for _, link := range t.links {
		if target, err := os.Readlink(l.Bin(link)); err == nil && target == t.name {
			continue
		}
		if err := os.RemoveAll(l.Bin(link)); err != nil {
			return err
		}
		if err := os.Symlink(t.name, l.Bin(link)); err != nil {
			return err
		}
	}
	return nil
}

func compile(ctx context.Context, l layout.Layout, t target, dir string, out io.Writer) error {
	fmt.Fprintf(out, "%s: compiling, %s\n", t.name, t.note)
	began := time.Now()
	args := slices.Insert(slices.Clone(t.args), 1, "-v") // name each package as its turn comes
	if t.args[0] == "build" {
		args = slices.Insert(args, 2, "-o", l.Bin(t.name))
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// No C compiler, no libc: the binary runs in an empty image as well.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOBIN="+l.Bin())
	cmd.WaitDelay = 5 * time.Second
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	var seen progress
	read := make(chan struct{})
	go func() {
		defer close(read)
		seen.follow(reader)
	}()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go: %w", err)
	}
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		_ = writer.Close()
		ended <- err
	}()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprintf(out, "%s: %s, %s\n", t.name, time.Since(began).Round(time.Second), seen.describe())
		case err := <-ended:
			<-read
			if err != nil {
				return errors.Join(fmt.Errorf("go %s: %w", strings.Join(args, " "), err), errors.New(seen.remarks()))
			}
			fmt.Fprintf(out, "%s: done in %s, %s\n", t.name, time.Since(began).Round(time.Second), seen.describe())
			return nil
		}
	}
}

// progress counts what `go build -v` says: a line per package it compiles, a
// line per module it downloads, and whatever else is wrong.
type progress struct {
	packages, downloads atomic.Int64
	last                atomic.Value // string
	other               []string     // read only after follow returned
}

func (p *progress) follow(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "go: downloading "):
			p.downloads.Add(1)
			p.last.Store("downloading " + strings.TrimPrefix(line, "go: downloading "))
		case line != "" && !strings.ContainsAny(line, " \t:"):
			p.packages.Add(1)
			p.last.Store("now " + line)
		default:
			p.other = append(p.other, line)
		}
	}
	_, _ = io.Copy(io.Discard, r) // a line too long must not block the compiler
}

func (p *progress) describe() string {
	text := fmt.Sprintf("%d modules downloaded, %d packages compiled", p.downloads.Load(), p.packages.Load())
	if last, ok := p.last.Load().(string); ok {
		text += ", " + last
	}
	return text
}

// remarks are the last lines that were neither packages nor downloads: the
// errors, if it failed.
func (p *progress) remarks() string {
	return strings.Join(p.other[max(0, len(p.other)-40):], "\n")
}
