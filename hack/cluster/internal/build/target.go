// Package build makes the binaries of the cluster from Go sources, and tells
// what it is doing while it does: the first time takes minutes.
package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Versions of what is built. Those of etcd and CoreDNS are in their go.mod.
const (
	KubernetesVersion = "v1.37.2"
	HelmVersion       = "v3.22.0"
)

// target is one binary.
type target struct {
	name    string
	sources string   // folder of the main package, from hack/cluster; empty: a package of another module
	module  string   // folder of its go.mod, from hack/cluster
	args    []string // of go, without -v and the output
	links   []string // further names of the binary
	note    string   // what to expect
}

var targets = []target{
	{
		name: "etcd", sources: "etcd", module: ".",
		args: []string{"build", "-buildvcs=false", "./etcd"},
		note: "the first time about half a minute on 2 cores",
	},
	{
		name: "kube", sources: "kube", module: ".",
		args:  []string{"build", "-buildvcs=false", "-ldflags", kubeLinkerFlags(), "./kube"},
		links: []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"},
		note:  "the first time 5 to 12 minutes on 2 cores, seconds after",
	},
	{
		name: "coredns", sources: "coredns", module: "coredns",
		args: []string{"build", "-buildvcs=false", "-tags", "grpcnotrace", "-trimpath", "-ldflags", "-s -w", "."},
		note: "the first time 1 to 3 minutes on 2 cores",
	},
	{
		name: "helm", module: ".",
		args: []string{"install", "-trimpath", "-ldflags", "-s -w -X helm.sh/helm/v3/internal/version.version=" + HelmVersion,
			"helm.sh/helm/v3/cmd/helm@" + HelmVersion},
		note: "the first time 1 to 3 minutes on 2 cores",
	},
}

// sets are what --for may name: which targets each purpose needs.
var sets = map[string][]string{
	"cluster": {"etcd", "kube", "coredns", "helm"},
	"envtest": {"etcd", "kube"},
}

// kubeLinkerFlags tells Kubernetes its version, as its own build does.
func kubeLinkerFlags() string {
	const at = "k8s.io/component-base/version."
	parts := strings.Split(strings.TrimPrefix(KubernetesVersion, "v"), ".")
	return fmt.Sprintf("-s -w -X %[1]sgitVersion=%[2]s -X %[1]sgitMajor=%[3]s -X %[1]sgitMinor=%[4]s",
		at, KubernetesVersion, parts[0], parts[1])
}

// stamp is a hash over all that goes into a binary: the toolchain, the flags,
// the module and the sources. Equal stamps mean that there is nothing to do,
// without asking go build, which would want every module downloaded first.
func (t target) stamp(folder string) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOARCH, t.args)
	if t.sources != "" {
		for _, file := range []string{"go.mod", "go.sum"} {
			if err := addFile(hash, filepath.Join(folder, t.module, file)); err != nil {
				return "", err
			}
		}
		err := filepath.WalkDir(filepath.Join(folder, t.sources), func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" {
				return err
			}
			return addFile(hash, path)
		})
		if err != nil {
			return "", fmt.Errorf("read sources of %s: %w", t.name, err)
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func addFile(w io.Writer, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read %q: %w", file, err)
	}
	_, err = fmt.Fprintf(w, "%s %d\n%s", filepath.Base(file), len(content), content)
	return err
}
