package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// The real operator takes every argument the chart gives it: it gets as far as
// looking for a cluster.
func TestOperatorTakesItsArguments(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "bff-operator")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the operator: %v: %s", err, out)
	}
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inputs, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, input := range inputs {
		t.Run(filepath.Base(input), func(t *testing.T) {
			container := get[appsv1.Deployment](t, rendered(t, "--values", input), "Deployment", "bff-operator").Spec.Template.Spec.Containers[0]
			args := make([]string, len(container.Args))
			for i, arg := range container.Args {
				args[i] = strings.NewReplacer("$(POD_NAMESPACE)", namespace, "/var/run/bff-operator/store/password", password).Replace(arg)
			}
			operator := exec.CommandContext(t.Context(), binary, args...)
			operator.Env = []string{"KUBECONFIG=" + filepath.Join(dir, "none"), "HOME=" + dir}
			out, err := operator.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "find the cluster") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
