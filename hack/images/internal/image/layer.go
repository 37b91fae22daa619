package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// File is one regular file or directory of an image.
type File struct {
	// Path is where it stands in the image, absolute.
	Path string
	// Mode holds the permission bits: 0 means 0644 for a file, 0755 for a directory.
	Mode int64
	// Owner is both the uid and the gid.
	Owner int
	// Source is the file on this machine to take the content from. Empty: Content.
	Source  string
	Content []byte
	// Directory makes an empty directory.
	Directory bool
}

// epoch is the time of everything in an image, so that the same input gives
// the same digest on every machine.
var epoch = time.Unix(0, 0).UTC()

// archive packs files, and the directories above them, into an uncompressed
// tar: sorted by path, with no trace of the machine or of the moment.
func archive(files []File) ([]byte, error) {
	entries := make(map[string]File)
	for _, f := range files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/" {
			return nil, fmt.Errorf("path %q in the image: write a clean absolute path below /", f.Path)
		}
		if _, twice := entries[f.Path]; twice {
			return nil, fmt.Errorf("path %q is in the image twice", f.Path)
		}
		entries[f.Path] = f
	}
	for _, f := range files {
		for dir := path.Dir(f.Path); dir != "/"; dir = path.Dir(dir) {
			if parent, ok := entries[dir]; ok && !parent.Directory {
				return nil, fmt.Errorf("path %q lies below %q, which is a file", f.Path, dir)
			}
			if _, ok := entries[dir]; !ok {
				entries[dir] = File{Path: dir, Directory: true}
			}
		}
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if err := add(w, entries[name]); err != nil {
			return nil, fmt.Errorf("add %q to the image: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("close the layer: %w", err)
	}
	return out.Bytes(), nil
}

func add(w *tar.Writer, f File) error {
	header := &tar.Header{
		Name:    strings.TrimPrefix(f.Path, "/"),
		Mode:    f.Mode,
		Uid:     f.Owner,
		Gid:     f.Owner,
		ModTime: epoch,
		Format:  tar.FormatPAX,
	}
	if f.Directory {
		header.Typeflag = tar.TypeDir
		header.Name += "/"
		header.Mode = orElse(f.Mode, 0o755)
		return w.WriteHeader(header)
	}
	header.Typeflag = tar.TypeReg
	header.Mode = orElse(f.Mode, 0o644)
	if f.Source == "" {
		header.Size = int64(len(f.Content))
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		_, err := w.Write(f.Content)
		return err
	}
	source, err := os.Open(f.Source)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	header.Size = info.Size()
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(w, source)
	return err
}

func orElse(mode, otherwise int64) int64 {
	if mode == 0 {
		return otherwise
	}
	return mode
}
