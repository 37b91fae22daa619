package recipe

import (
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/hack/images/internal/image"
)

func TestParseLDD(t *testing.T) {
	got, err := parseLDD(`	linux-vdso.so.1 (0x00007f67cb805000)
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f67ca81e000)
	/lib64/ld-linux-x86-64.so.2 (0x00007f67cb807000)
`)
	if want := []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if _, err := parseLDD("\tlibx.so.1 => not found\n"); err == nil || !strings.Contains(err.Error(), "libx.so.1") {
		t.Errorf("a missing library: %v", err)
	}
	if got, err := parseLDD("\tstatically linked\n"); err != nil || len(got) != 0 {
		t.Errorf("a static program: %q, %v", got, err)
	}
}

func kitchen(t *testing.T) Kitchen {
	t.Helper()
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	return Kitchen{Root: root, Bin: t.TempDir(), Tag: "v9", Log: io.Discard}
}

func TestAGoImageHoldsOneStaticBinaryForTheArchitectureAskedFor(t *testing.T) {
	for architecture, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		spec, err := Make(t.Context(), kitchen(t), "pause", architecture)
		if err != nil {
			t.Fatal(err)
		}
		if len(spec.Files) != 1 || spec.Files[0].Path != "/pause" || !slices.Equal(spec.Entrypoint, []string{"/pause"}) {
			t.Fatalf("%+v", spec)
		}
		if spec.User != "65532:65532" || spec.Architecture != architecture || spec.Labels["org.opencontainers.image.version"] != "v9" {
			t.Errorf("%+v", spec)
		}
		binary, err := elf.Open(spec.Files[0].Source)
		if err != nil {
			t.Fatal(err)
		}
		defer binary.Close()
		if binary.Machine != machine {
			t.Errorf("built for %s, want %s", binary.Machine, machine)
		}
		if libraries, err := binary.ImportedLibraries(); err == nil && len(libraries) > 0 {
			t.Errorf("needs %v", libraries)
		}
	}
}

func TestABinaryMayTakeThePlaceOfTheBuild(t *testing.T) {
	k := kitchen(t)
	k.Binaries = map[string]string{"bff-demo": "/bin/true"}
	spec, err := Make(t.Context(), k, "bff-demo", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if f := spec.Files[0]; f.Source != "/bin/true" || f.Path != "/bff-demo" {
		t.Errorf("%+v", f)
	}
}

func TestMakeNamesTheImagesThereAre(t *testing.T) {
	if _, err := Make(t.Context(), kitchen(t), "x", "amd64"); err == nil || !strings.Contains(err.Error(), "bff-sidecar") {
		t.Errorf("%v", err)
	}
}

func TestTheRedisImageIsForThisArchitectureOnly(t *testing.T) {
	if _, err := Make(t.Context(), kitchen(t), "bff-redis", "s390x"); err == nil || !strings.Contains(err.Error(), runtime.GOARCH) {
		t.Errorf("%v", err)
	}
}

// The image's files alone must be enough to run both programs.
func TestTheRedisImageIsComplete(t *testing.T) {
	if _, err := os.Stat("/usr/bin/redis-server"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs redis-server, and root for chroot")
	}
	spec, err := Make(t.Context(), kitchen(t), "bff-redis", runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	if spec.Labels["org.opencontainers.image.licenses"] != "BSD-3-Clause" {
		t.Errorf("labels %v", spec.Labels)
	}
	root := t.TempDir()
	for _, f := range spec.Files {
		unpack(t, root, f)
	}
	for _, program := range []string{"/usr/bin/redis-server", "/usr/bin/redis-cli"} {
		out, err := exec.Command("chroot", "--userspec="+spec.User, root, program, "--version").CombinedOutput()
		if err != nil || !strings.Contains(strings.ToLower(string(out)), "redis") {
			t.Errorf("%s: %v: %s", program, err, out)
		}
	}
}

func unpack(t *testing.T, root string, f image.File) {
	t.Helper()
	path := filepath.Join(root, f.Path)
	if f.Directory {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return
	}
	content := f.Content
	if f.Source != "" {
		var err error
		if content, err = os.ReadFile(f.Source); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
}
