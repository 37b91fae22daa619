package control

import (
	"fmt"
	"os/exec"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/layout"
)

// component is one process of the cluster.
type component struct {
	name string
	path string
	args []string
	// url answers 200 once the component serves. Empty: it is known another way.
	url string
	// config is the file below the state folder that it reads when it starts.
	config string
}

// components are in the order of their start; they are stopped in reverse.
func components(l layout.Layout, n layout.Network) ([]component, error) {
	containerd, err := exec.LookPath("containerd")
	if err != nil {
		return nil, fmt.Errorf("find containerd: %w", err)
	}
	pki := func(name string) string { return l.PKI(name) }
	etcd := fmt.Sprintf("https://127.0.0.1:%d", layout.EtcdClientPort)
	peer := fmt.Sprintf("https://127.0.0.1:%d", layout.EtcdPeerPort)
	return []component{
		{
			name: "containerd", path: containerd, config: "containerd/config.toml",
			args: []string{"--config", l.State("containerd/config.toml")},
		},
		{
			name: "etcd", path: l.Bin("etcd"),
			args: []string{
				"--name=" + layout.Node, "--data-dir=" + l.State("etcd"), "--log-level=warn",
				"--listen-client-urls=" + etcd, "--advertise-client-urls=" + etcd,
				"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
				"--initial-cluster=" + layout.Node + "=" + peer,
				"--client-cert-auth", "--trusted-ca-file=" + pki("etcd-ca.crt"),
				"--cert-file=" + pki("etcd.crt"), "--key-file=" + pki("etcd.key"),
				"--peer-client-cert-auth", "--peer-trusted-ca-file=" + pki("etcd-ca.crt"),
				"--peer-cert-file=" + pki("etcd.crt"), "--peer-key-file=" + pki("etcd.key"),
				"--unsafe-no-fsync", // the data is worth nothing after a power cut
			},
		},
		{
			name: "kube-apiserver", path: l.Bin("kube-apiserver"),
			url: n.Server() + "/readyz",
			args: []string{
				"--advertise-address=" + n.Node.String(), "--bind-address=" + n.Node.String(),
				fmt.Sprintf("--secure-port=%d", layout.APIServerPort),
				"--service-cluster-ip-range=" + n.Services.String(),
				"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
				"--allow-privileged=true", "--profiling=false",
				"--client-ca-file=" + pki("ca.crt"),
				"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
				"--etcd-servers=" + etcd, "--etcd-cafile=" + pki("etcd-ca.crt"),
				"--etcd-certfile=" + pki("apiserver-etcd.crt"), "--etcd-keyfile=" + pki("apiserver-etcd.key"),
				"--kubelet-preferred-address-types=InternalIP",
				"--kubelet-certificate-authority=" + pki("ca.crt"),
				"--kubelet-client-certificate=" + pki("apiserver-kubelet.crt"),
				"--kubelet-client-key=" + pki("apiserver-kubelet.key"),
				"--service-account-issuer=https://kubernetes.default.svc." + layout.Domain,
				"--service-account-key-file=" + pki("service-account.pub"),
				"--service-account-signing-key-file=" + pki("service-account.key"),
				"--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"),
				"--requestheader-allowed-names=front-proxy-client",
				"--requestheader-username-headers=X-Remote-User",
				"--requestheader-group-headers=X-Remote-Group",
				"--requestheader-extra-headers-prefix=X-Remote-Extra-",
				"--proxy-client-cert-file=" + pki("front-proxy.crt"),
				"--proxy-client-key-file=" + pki("front-proxy.key"),
			},
		},
		{
			name: "kube-controller-manager", path: l.Bin("kube-controller-manager"),
			url: fmt.Sprintf("https://127.0.0.1:%d/healthz", layout.ControllerManagerPort),
			args: append(managed(pki("controller-manager.kubeconfig"), layout.ControllerManagerPort),
				"--cert-dir="+l.State("run/controller-manager"),
				"--use-service-account-credentials", "--profiling=false",
				"--service-account-private-key-file="+pki("service-account.key"),
				"--root-ca-file="+pki("ca.crt"),
				"--cluster-signing-cert-file="+pki("ca.crt"), "--cluster-signing-key-file="+pki("ca.key"),
			),
		},
		{
			name: "kube-scheduler", path: l.Bin("kube-scheduler"),
			url: fmt.Sprintf("https://127.0.0.1:%d/healthz", layout.SchedulerPort),
			args: append(managed(pki("scheduler.kubeconfig"), layout.SchedulerPort),
				"--cert-dir="+l.State("run/scheduler"), "--profiling=false"),
		},
		{
			name: "kubelet", path: l.Bin("kubelet"), config: "kubelet.yaml",
			url: fmt.Sprintf("http://%s:%d/healthz", n.Node, layout.KubeletHealthPort),
			args: []string{
				"--config=" + l.State("kubelet.yaml"), "--kubeconfig=" + pki("kubelet.kubeconfig"),
				"--root-dir=" + l.State("kubelet"), "--cert-dir=" + l.State("run/kubelet"),
				"--hostname-override=" + layout.Node, "--node-ip=" + n.Node.String(),
			},
		},
		{
			name: "kube-proxy", path: l.Bin("kube-proxy"), config: "kube-proxy.yaml",
			url:  fmt.Sprintf("http://%s:%d/healthz", n.Node, layout.ProxyHealthPort),
			args: []string{"--config=" + l.State("kube-proxy.yaml")},
		},
	}, nil
}

// managed are the flags that controller manager and scheduler share. There is
// one of each, so nobody needs to be elected.
func managed(kubeconfig string, port int) []string {
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port), "--leader-elect=false",
	}
}
