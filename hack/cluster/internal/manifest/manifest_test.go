package manifest

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	proxyv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/layout"
)

func rendered(t *testing.T, root string, upstreams ...netip.Addr) map[string][]byte {
	t.Helper()
	n, err := layout.Plan(layout.DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	files, err := Render(Facts{Layout: layout.Layout{Root: root}, Network: n, Snapshotter: "overlayfs", Upstreams: upstreams})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestKubeletConfigurationIsValid(t *testing.T) {
	var c kubeletv1beta1.KubeletConfiguration
	if err := yaml.UnmarshalStrict(rendered(t, `/a "quoted" folder`)["kubelet.yaml"], &c); err != nil {
		t.Fatal(err)
	}
	if c.Address != "10.231.0.1" || c.CgroupRoot != layout.Cgroup || !slices.Equal(c.ClusterDNS, []string{"10.231.128.10"}) {
		t.Errorf("address %q, group %q, name servers %q", c.Address, c.CgroupRoot, c.ClusterDNS)
	}
	if c.Authentication.Anonymous.Enabled == nil || *c.Authentication.Anonymous.Enabled {
		t.Error("the kubelet answers anyone")
	}
	if c.PodLogsDir != `/a "quoted" folder/.cache/cluster/pod-logs` {
		t.Errorf("logs go to %q", c.PodLogsDir)
	}
}

func TestProxyConfigurationIsValid(t *testing.T) {
	var c proxyv1alpha1.KubeProxyConfiguration
	if err := yaml.UnmarshalStrict(rendered(t, "/r")["kube-proxy.yaml"], &c); err != nil {
		t.Fatal(err)
	}
	if c.BindAddress != "10.231.0.1" || c.ClusterCIDR != "10.231.64.0/18" || c.HostnameOverride != layout.Node {
		t.Errorf("%+v", c)
	}
}

func TestNetworkPluginConfigurationIsValid(t *testing.T) {
	var c struct {
		Plugins []struct {
			Type string
			IPAM struct{ DataDir string }
		}
	}
	if err := json.Unmarshal(rendered(t, "/r")["cni/10-bff.conflist"], &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Plugins) != 1 || c.Plugins[0].IPAM.DataDir != "/r/.cache/cluster/cni-addresses" {
		t.Errorf("%+v", c)
	}
}

func TestNameServerManifestsAreValid(t *testing.T) {
	kinds := map[string]any{
		"ServiceAccount": &corev1.ServiceAccount{}, "ClusterRole": &rbacv1.ClusterRole{},
		"ClusterRoleBinding": &rbacv1.ClusterRoleBinding{}, "ConfigMap": &corev1.ConfigMap{},
		"Deployment": &appsv1.Deployment{}, "Service": &corev1.Service{},
	}
	for document := range bytes.SplitSeq(rendered(t, "/r")["coredns.yaml"], []byte("\n---\n")) {
		var kind struct{ Kind string }
		if err := yaml.Unmarshal(document, &kind); err != nil {
			t.Fatal(err)
		}
		into, expected := kinds[kind.Kind]
		if !expected {
			t.Fatalf("kind %q is there twice, or not expected", kind.Kind)
		}
		delete(kinds, kind.Kind)
		if err := yaml.UnmarshalStrict(document, into); err != nil {
			t.Errorf("%s: %v", kind.Kind, err)
		}
		if s, ok := into.(*corev1.Service); ok && s.Spec.ClusterIP != "10.231.128.10" {
			t.Errorf("the name server's address is %s", s.Spec.ClusterIP)
		}
	}
	for kind := range kinds {
		t.Errorf("%s is missing", kind)
	}
}

func TestForwardingNeedsANameServerToForwardTo(t *testing.T) {
	if corefile := string(rendered(t, "/r")["coredns.yaml"]); strings.Contains(corefile, "forward .") {
		t.Error("forwards to nobody, which CoreDNS refuses")
	}
	corefile := string(rendered(t, "/r", netip.MustParseAddr("192.0.2.53"))["coredns.yaml"])
	if !strings.Contains(corefile, "        forward . 192.0.2.53\n        cache") {
		t.Errorf("no forwarding in\n%s", corefile)
	}
}

func TestUpstreams(t *testing.T) {
	for _, test := range []struct {
		name, resolvConf, want string
	}{
		{"two", "search a b\nnameserver 192.0.2.1\nnameserver 192.0.2.2 # x\n", "[192.0.2.1 192.0.2.2]"},
		{"a stub on the loopback is of no use to pods", "nameserver 127.0.0.53\noptions edns0\n", "[]"},
		{"at most three, as the resolver reads", strings.Repeat("nameserver 192.0.2.9\n", 5), "[192.0.2.9 192.0.2.9 192.0.2.9]"},
		{"what is not an address", "nameserver\nnameserver x\n; nameserver 192.0.2.1\n", "[]"},
	} {
		var got []string
		for _, a := range Upstreams(test.resolvConf) {
			got = append(got, a.String())
		}
		if text := "[" + strings.Join(got, " ") + "]"; text != test.want {
			t.Errorf("%s: %s, want %s", test.name, text, test.want)
		}
	}
}

func TestContainerdKeepsEverythingInTheStateFolder(t *testing.T) {
	config := string(rendered(t, "/r")["containerd/config.toml"])
	for line := range strings.Lines(config) {
		_, value, ok := strings.Cut(strings.TrimSpace(line), ` = "/`)
		if ok && !strings.HasPrefix(value, "r/.cache/cluster/") && !strings.HasPrefix(value, "usr/lib/cni") {
			t.Errorf("outside: %s", strings.TrimSpace(line))
		}
	}
	if !strings.Contains(config, `sandbox_image = "`+PauseImage+`"`) {
		t.Error("containerd does not know the pause image")
	}
}

func TestEveryTemplateIsUsed(t *testing.T) {
	entries, err := os.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(files) {
		t.Errorf("%d templates, %d files", len(entries), len(files))
	}
}
