package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Bounds of what is read. A ConfigMap or Secret holds at most 1 MiB.
const (
	maxPolicySize = 1 << 20
	maxSecretSize = 64 << 10
)

// read reads a file of at most limit bytes. Its errors name the file and never
// its content.
func read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %q: it holds more than %d bytes", path, limit)
	}
	return data, nil
}

var errEmpty = errors.New("it is empty")

// oneLine is a secret of one line. Exactly one line feed at its end is left out:
// `kubectl create secret --from-file` and every editor leave one there, and no
// client secret or password ends in one.
func oneLine(data []byte) (string, error) {
	value := strings.TrimSuffix(string(data), "\n")
	if value == "" {
		return "", errEmpty
	}
	return value, nil
}

// fingerprint tells whether files have changed without reading them. The
// kubelet swaps whole directories, so that a changed file is another file; an
// editor on a laptop changes size or time.
type fingerprint []fileState

type fileState struct {
	path    string
	info    os.FileInfo // nil when there is no such file
	missing bool
}

func fingerprintOf(paths []string) fingerprint {
	states := make(fingerprint, len(paths))
	for i, path := range paths {
		info, err := os.Stat(path)
		states[i] = fileState{path: path, info: info, missing: errors.Is(err, os.ErrNotExist)}
	}
	return states
}

// changed says whether any of the files differs from what it was.
func (f fingerprint) changed() bool {
	for _, was := range f {
		info, err := os.Stat(was.path)
		switch {
		case err != nil || was.info == nil:
			if (err != nil) != (was.info == nil) || errors.Is(err, os.ErrNotExist) != was.missing {
				return true
			}
		case !os.SameFile(info, was.info) || info.Size() != was.info.Size() || !info.ModTime().Equal(was.info.ModTime()):
			return true
		}
	}
	return false
}
