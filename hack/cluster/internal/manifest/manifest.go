// Package manifest renders the configuration of every part of the cluster.
package manifest

import (
	"bytes"
	"embed"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"text/template"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/host"
	"github.com/bff-operator/bff-operator/hack/cluster/internal/layout"
)

// Images of the cluster's own, made by hack/images.
const (
	ImageTag     = "cluster"
	PauseImage   = "localhost/pause:" + ImageTag
	CoreDNSImage = "localhost/coredns:" + ImageTag
)

// Facts are what the configuration depends on besides constants.
type Facts struct {
	Layout      layout.Layout
	Network     layout.Network
	Snapshotter string       // of containerd
	Upstreams   []netip.Addr // name servers for what is not in the cluster; none: such names do not resolve
}

//go:embed templates
var templates embed.FS

// files are the templates by the path of their result below the state folder.
var files = map[string]string{
	"containerd/config.toml": "containerd.toml",
	"cni/10-bff.conflist":    "cni.conflist",
	"kubelet.yaml":           "kubelet.yaml",
	"kube-proxy.yaml":        "kube-proxy.yaml",
	"coredns.yaml":           "coredns.yaml",
}

// Render returns every file below the state folder, by its path there.
func Render(f Facts) (map[string][]byte, error) {
	functions := template.FuncMap{
		"quote": func(s string) string { return fmt.Sprintf("%q", s) },
		"state": func(name string) string { return f.Layout.State(name) },
		"pki":   func(name string) string { return f.Layout.PKI(name) },
	}
	parsed, err := template.New("").Funcs(functions).ParseFS(templates, "templates/*")
	if err != nil {
		return nil, fmt.Errorf("parse templates: %w", err)
	}
	data := map[string]any{
		"Layout": f.Layout, "Network": f.Network, "Snapshotter": f.Snapshotter, "Upstreams": f.Upstreams,
		"PauseImage": PauseImage, "CoreDNSImage": CoreDNSImage, "CNIPlugins": host.CNIPlugins,
		"Node": layout.Node, "Domain": layout.Domain, "Cgroup": layout.Cgroup,
		"KubeletPort": layout.KubeletPort, "KubeletHealthPort": layout.KubeletHealthPort,
		"ProxyHealthPort": layout.ProxyHealthPort, "ProxyMetricsPort": layout.ProxyMetricsPort,
	}
	rendered := make(map[string][]byte)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		var out bytes.Buffer
		if err := parsed.ExecuteTemplate(&out, files[path], data); err != nil {
			return nil, fmt.Errorf("render %s: %w", path, err)
		}
		rendered[path] = out.Bytes()
	}
	// The machine's search domains stay out of pods.
	var resolv strings.Builder
	for _, upstream := range f.Upstreams {
		fmt.Fprintf(&resolv, "nameserver %s\n", upstream)
	}
	rendered["resolv.conf"] = []byte(resolv.String())
	return rendered, nil
}

// Upstreams picks the name servers out of a resolv.conf. One on the loopback
// is of no use to a pod, which has a loopback of its own.
func Upstreams(resolvConf string) []netip.Addr {
	var all []netip.Addr
	for line := range strings.Lines(resolvConf) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		address, err := netip.ParseAddr(fields[1])
		if err == nil && address.Is4() && !address.IsLoopback() && len(all) < 3 {
			all = append(all, address)
		}
	}
	return all
}
