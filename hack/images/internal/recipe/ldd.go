package recipe

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// sharedLibraries names every library the programs load, and the loader
// itself, by the path the loader looks them up under. Sorted, each once.
func sharedLibraries(ctx context.Context, programs ...string) ([]string, error) {
	var all []string
	for _, program := range programs {
		out, err := exec.CommandContext(ctx, "ldd", program).Output()
		if err != nil {
			return nil, fmt.Errorf("ldd %s: %w", program, err)
		}
		paths, err := parseLDD(string(out))
		if err != nil {
			return nil, fmt.Errorf("libraries of %s: %w", program, err)
		}
		all = append(all, paths...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// parseLDD reads what ldd prints: "name => path (address)" for a library,
// "path (address)" for the loader, and "linux-vdso.so.1 (address)" for what
// the kernel maps in and no file holds.
func parseLDD(out string) ([]string, error) {
	var paths []string
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		name, path, arrow := strings.Cut(line, " => ")
		if !arrow {
			path = name
		}
		path, _, _ = strings.Cut(path, " (")
		switch {
		case path == "not found":
			return nil, fmt.Errorf("library %s is not found on this machine", name)
		case strings.HasPrefix(path, "/"):
			paths = append(paths, path)
		}
	}
	return paths, nil
}
