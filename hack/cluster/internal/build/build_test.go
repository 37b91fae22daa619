package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The version is told to the binaries by the linker: it must be the one built.
func TestVersionsAreThoseOfTheModule(t *testing.T) {
	content, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), "\tk8s.io/kubernetes "+KubernetesVersion+"\n") {
		t.Errorf("go.mod does not require k8s.io/kubernetes %s", KubernetesVersion)
	}
	want := "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2" +
		" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37"
	if got := kubeLinkerFlags(); KubernetesVersion == "v1.37.2" && got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestEverySetIsMadeOfTargets(t *testing.T) {
	known := map[string]bool{}
	for _, target := range targets {
		known[target.name] = true
	}
	for purpose, names := range sets {
		for _, name := range names {
			if !known[name] {
				t.Errorf("%s needs %q, which is no target", purpose, name)
			}
		}
	}
}

func TestStampFollowsSourcesModuleAndFlags(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module x\n")
	write("go.sum", "")
	write("prog/main.go", "package main\n")
	one := target{name: "prog", sources: "prog", module: ".", args: []string{"build", "./prog"}}
	stamp := func(t *testing.T, of target) string {
		t.Helper()
		s, err := of.stamp(folder)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := stamp(t, one)
	if stamp(t, one) != before {
		t.Error("nothing changed, but the stamp did")
	}
	other := one
	other.args = []string{"build", "-race", "./prog"}
	if stamp(t, other) == before {
		t.Error("other flags, same stamp")
	}
	write("prog/notes.txt", "not compiled")
	if stamp(t, one) != before {
		t.Error("a file go does not compile changed the stamp")
	}
	write("go.sum", "x v1 h1:\n")
	second := stamp(t, one)
	if second == before {
		t.Error("another module, same stamp")
	}
	write("prog/main.go", "package main // changed\n")
	if stamp(t, one) == second {
		t.Error("other sources, same stamp")
	}
}

func TestProgressTellsPackagesFromErrors(t *testing.T) {
	var p progress
	p.follow(strings.NewReader("go: downloading k8s.io/api v0.37.2\nk8s.io/api/core/v1\ngithub.com/x/y\n" +
		"# github.com/x/y\n./y.go:3:1: syntax error\n"))
	if got, want := p.describe(), "1 modules downloaded, 2 packages compiled, now github.com/x/y"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := p.remarks(), "# github.com/x/y\n./y.go:3:1: syntax error"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
