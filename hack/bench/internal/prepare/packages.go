// Package prepare installs and builds what is compared.
package prepare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/bff-operator/bff-operator/hack/bench/internal/process"
)

// Need is a program, or a file if it begins with a slash, and the Debian package
// that brings it.
type Need struct{ What, Package string }

// policyFile keeps Debian from starting what it installs.
const policyFile = "/usr/sbin/policy-rc.d"

// Packages installs the packages of needs that are not there. What Debian would
// run as services it neither starts nor enables.
func Packages(ctx context.Context, needs []Need) error {
	var missing []string
	for _, need := range needs {
		if !there(need.What) && !slices.Contains(missing, need.Package) {
			missing = append(missing, need.Package)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("these programs are missing, please install them: %s (on Debian, as root, this command does it)", strings.Join(missing, " "))
	}
	if _, err := os.Stat(policyFile); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(policyFile, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
			return fmt.Errorf("keep services from starting: %w", err)
		}
		defer os.Remove(policyFile)
	}
	quiet := []string{"DEBIAN_FRONTEND=noninteractive"}
	if _, err := process.Run(ctx, quiet, "apt-get", "update"); err != nil {
		return err
	}
	if _, err := process.Run(ctx, quiet, "apt-get", append([]string{"install", "-y", "--no-install-recommends"}, missing...)...); err != nil {
		return err
	}
	disable(ctx, missing)
	for _, need := range needs {
		if !there(need.What) {
			return fmt.Errorf("the package %s has not brought %s", need.Package, need.What)
		}
	}
	return nil
}

func there(what string) bool {
	if strings.HasPrefix(what, "/") {
		_, err := os.Stat(what)
		return err == nil
	}
	_, err := exec.LookPath(what)
	return err == nil
}

// disable keeps the services of packages from starting with the machine. Many
// packages have none, and many machines no systemd, which is no failure.
func disable(ctx context.Context, packages []string) {
	if slices.Contains(packages, "apache2") {
		packages = append(packages, "apache-htcacheclean")
	}
	for _, name := range packages {
		_, _ = process.Run(ctx, nil, "systemctl", "disable", name)
	}
}
