package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func spec(t *testing.T) Spec {
	t.Helper()
	source := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(source, []byte("program"), 0o700); err != nil {
		t.Fatal(err)
	}
	return Spec{
		Files: []File{
			{Path: "/usr/bin/program", Source: source, Mode: 0o755},
			{Path: "/etc/passwd", Content: []byte("root")},
			{Path: "/data", Directory: true, Owner: 65532},
		},
		Entrypoint: []string{"/usr/bin/program"}, User: "65532:65532", Architecture: "arm64",
		Labels: map[string]string{"a": "b"},
	}
}

func TestTheLayerIsSortedAndTimeless(t *testing.T) {
	content, err := archive(spec(t).Files)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(epoch) || h.Uname != "" || h.Gname != "" {
			t.Errorf("%s tells of this machine: %v %q", h.Name, h.ModTime, h.Uname)
		}
		got = append(got, h.FileInfo().Mode().String()+" "+h.Name)
	}
	want := []string{
		"drwxr-xr-x data/", "drwxr-xr-x etc/", "-rw-r--r-- etc/passwd",
		"drwxr-xr-x usr/", "drwxr-xr-x usr/bin/", "-rwxr-xr-x usr/bin/program",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestTheSameInputGivesTheSameDigest(t *testing.T) {
	var digests []string
	for range 2 {
		img, err := Build(spec(t)) // in another folder, at another time
		if err != nil {
			t.Fatal(err)
		}
		digest, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest.String())
	}
	if digests[0] != digests[1] {
		t.Errorf("%s and %s", digests[0], digests[1])
	}
	other := spec(t)
	other.Files[1].Content = []byte("toor")
	img, err := Build(other)
	if err != nil {
		t.Fatal(err)
	}
	if digest, err := img.Digest(); err != nil || digest.String() == digests[0] {
		t.Errorf("another file, the same digest %s, %v", digest, err)
	}
}

func TestTheConfigurationSaysWhereAndHowToRun(t *testing.T) {
	img, err := Build(spec(t))
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.OS != "linux" || config.Architecture != "arm64" {
		t.Errorf("for %s/%s: a runtime would ignore it", config.OS, config.Architecture)
	}
	c := config.Config
	if c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/usr/bin/program"}) || c.Labels["a"] != "b" {
		t.Errorf("%+v", c)
	}
	if layers, err := img.Layers(); err != nil || len(layers) != 1 {
		t.Errorf("%d layers, %v", len(layers), err)
	}
}

func TestArchiveRefusesPathsThatCannotBe(t *testing.T) {
	for _, test := range []struct {
		want  string
		paths []string
	}{
		{"clean absolute path", []string{"etc/passwd"}},
		{"clean absolute path", []string{"/etc/../passwd"}},
		{"clean absolute path", []string{"/"}},
		{"twice", []string{"/a", "/a"}},
		{"which is a file", []string{"/a", "/a/b"}},
	} {
		var files []File
		for _, p := range test.paths {
			files = append(files, File{Path: p})
		}
		if _, err := archive(files); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.paths, err, test.want)
		}
	}
}

func TestSaveWritesAnArchiveThatLoadsUnderItsName(t *testing.T) {
	img, err := Build(spec(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "out", "program.tar")
	if err := Save(file, "localhost/program:1", img); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("localhost/program:1")
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := tarball.ImageFromPath(file, &tag)
	if err != nil {
		t.Fatal(err)
	}
	want, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := loaded.ConfigName(); err != nil || got != want {
		t.Errorf("image %s, want %s, %v", got, want, err)
	}
	if err := Save(filepath.Join(dir, "x.tar"), "localhost/No Name", img); err == nil {
		t.Error("a name that is none was accepted")
	}
}
