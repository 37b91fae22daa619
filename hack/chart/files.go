package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// files are contents by path, relative to the checkout.
type files map[string][]byte

// write brings the files to disk, and leaves alone those that are right.
func write(root string, files files) error {
	for _, path := range slices.Sorted(maps.Keys(files)) {
		full := filepath.Join(root, path)
		if old, err := os.ReadFile(full); err == nil && bytes.Equal(old, files[path]) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, files[path], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// staleError names the files that are not what would be written.
type staleError struct{ paths []string }

func (e *staleError) Error() string {
	return fmt.Sprintf("not what the sources say: %s; run `make generate` and commit what it writes", strings.Join(e.paths, ", "))
}

// compare returns a staleError when a file on disk differs.
func compare(root string, files files) error {
	var stale staleError
	for _, path := range slices.Sorted(maps.Keys(files)) {
		old, err := os.ReadFile(filepath.Join(root, path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err != nil || !bytes.Equal(old, files[path]) {
			stale.paths = append(stale.paths, path)
		}
	}
	if len(stale.paths) > 0 {
		return &stale
	}
	return nil
}
