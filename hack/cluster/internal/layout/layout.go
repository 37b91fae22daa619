// Package layout fixes where the test cluster keeps its files and which
// addresses, ports and names it uses.
package layout

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Names of the cluster's parts, on this machine and in the API.
const (
	Node   = "bff-node"
	Domain = "cluster.local"
	// Device holds the node's address and the route to the service addresses.
	Device = "bff-cluster"
	// Cgroup is where everything of the cluster runs, below the root of every hierarchy.
	Cgroup = "/bff-cluster"
	// Table is the nftables table of the address translation.
	Table = "bff-cluster"
)

// Ports are unlike the usual ones, so that another cluster or an etcd on this
// machine is no obstacle. All are below the range of outgoing connections.
const (
	APIServerPort         = 26443
	EtcdClientPort        = 26379
	EtcdPeerPort          = 26380
	KubeletPort           = 26250
	KubeletHealthPort     = 26248
	ControllerManagerPort = 26257
	SchedulerPort         = 26259
	ProxyHealthPort       = 26256
	ProxyMetricsPort      = 26249
)

// Layout is the checkout the cluster belongs to.
type Layout struct{ Root string }

// Find looks for the checkout above the working folder.
func Find() (Layout, error) {
	dir, err := os.Getwd()
	if err != nil {
		return Layout{}, fmt.Errorf("find the working folder: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "hack/cluster/go.mod")); err == nil {
			return Layout{Root: dir}, nil
		}
		if dir == "/" {
			return Layout{}, errors.New("run this inside the checkout: go -C hack/cluster run . COMMAND")
		}
	}
}

// longestSocket is below the state folder and must fit the 107 bytes a path of
// a Unix socket may have.
const longestSocket = "kubelet/pod-resources/kubelet.sock"

// Check errs when the checkout lies so deep that sockets cannot be made in it.
func (l Layout) Check() error {
	if n := len(l.State(longestSocket)); n > 107 {
		return fmt.Errorf("the path %s is too long for the cluster's sockets: move the checkout to a path %d characters shorter", l.Root, n-107)
	}
	return nil
}

// Bin is the path of a built binary. The folder suits KUBEBUILDER_ASSETS.
func (l Layout) Bin(name ...string) string { return l.below(".cache/bin", name) }

// State is a path in the folder that holds everything of the running cluster.
func (l Layout) State(name ...string) string { return l.below(".cache/cluster", name) }

// Images is the folder of the cluster's own images. It outlives the cluster.
func (l Layout) Images(name ...string) string { return l.below(".cache/images", name) }

// Lock is the file that keeps two commands from changing the cluster at once.
func (l Layout) Lock() string { return filepath.Join(l.Root, ".cache/cluster.lock") }

// Kubeconfig makes its reader administrator of the cluster.
func (l Layout) Kubeconfig() string { return l.State("kubeconfig") }

// PKI is a path in the folder of certificates and keys.
func (l Layout) PKI(name ...string) string { return l.below(".cache/cluster/pki", name) }

// Log is the file a part writes its output to.
func (l Layout) Log(part string) string { return l.State("logs", part+".log") }

// PIDFile is the record of a part's process.
func (l Layout) PIDFile(part string) string { return l.State("run", part+".json") }

// ContainerdSocket is where this cluster's own containerd listens.
func (l Layout) ContainerdSocket() string { return l.State("containerd/containerd.sock") }

func (l Layout) below(folder string, name []string) string {
	return filepath.Join(append([]string{l.Root, folder}, name...)...)
}
