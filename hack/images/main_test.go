package main

import (
	"bytes"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestBuildWritesTheImagesAskedFor(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"build", "--out", dir, "--tag", "v1", "--binary", "bff-demo=/bin/true", "bff-demo"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "localhost/bff-demo:v1") {
		t.Errorf("it says %q", out.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "bff-demo.tar")); err != nil {
		t.Error(err)
	}
}

func TestPushUploadsOneIndexForEveryPlatform(t *testing.T) {
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	to := strings.TrimPrefix(server.URL, "http://") + "/team"
	if err := run(t.Context(), []string{"push", "--to", to, "--tag", "v1", "pause"}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	reference, err := name.ParseReference(to + "/pause:v1")
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(reference)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
	}
	if got := strings.Join(platforms, " "); got != "linux/amd64 linux/arm64" {
		t.Errorf("platforms %q", got)
	}
}

func TestMistakesAreAnsweredWithWhatToWrite(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "write build, push or list"},
		{"bake", "write build, push or list"},
		{"build", "write some of bff-demo"},
		{"build nothing", "write one of bff-demo"},
		{"build --binary x pause", "write NAME=FILE"},
		{"push pause", "write push --to"},
		{"push --to localhost/x --tag v1 --platform windows/amd64 pause", "write linux/amd64"},
	} {
		err := run(t.Context(), strings.Fields(test.args), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.args, err, test.want)
		}
	}
}
