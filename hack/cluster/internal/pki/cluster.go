package pki

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/layout"
)

// requests are the certificates of the cluster, by file name. Common name and
// organisation are what RBAC and the node authorizer look at.
func requests(n layout.Network) map[string]Request {
	loopback := netip.MustParseAddr("127.0.0.1")
	return map[string]Request{
		"apiserver": {CommonName: "kube-apiserver", Server: true,
			Names: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc." + layout.Domain},
			Addresses: []netip.Addr{n.Node, n.API, loopback}},
		"apiserver-kubelet":  {CommonName: "kube-apiserver-kubelet-client", Organizations: []string{"system:masters"}, Client: true},
		"admin":              {CommonName: "kubernetes-admin", Organizations: []string{"system:masters"}, Client: true},
		"controller-manager": {CommonName: "system:kube-controller-manager", Client: true},
		"scheduler":          {CommonName: "system:kube-scheduler", Client: true},
		"proxy":              {CommonName: "system:kube-proxy", Client: true},
		"kubelet": {CommonName: "system:node:" + layout.Node, Organizations: []string{"system:nodes"}, Client: true, Server: true,
			Names: []string{layout.Node}, Addresses: []netip.Addr{n.Node}},
	}
}

// etcdRequests are signed by an authority of their own: who may log in at the
// API server must not be able to read the store.
var etcdRequests = map[string]Request{
	"etcd": {CommonName: "etcd", Server: true, Client: true, Names: []string{"localhost"},
		Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
	"apiserver-etcd": {CommonName: "kube-apiserver-etcd-client", Client: true},
}

// frontRequests are signed by the authority the aggregation layer trusts. With
// the cluster's own, anyone with a certificate could claim to be anyone.
var frontRequests = map[string]Request{
	"front-proxy": {CommonName: "front-proxy-client", Client: true},
}

// kubeconfigs are the identities that get one: file name to certificate name.
var kubeconfigs = map[string]string{
	"admin": "admin", "controller-manager": "controller-manager", "scheduler": "scheduler",
	"proxy": "proxy", "kubelet": "kubelet",
}

// Ensure makes every certificate, key and kubeconfig in dir, unless they are
// there. The folder appears whole or not at all.
func Ensure(dir string, n layout.Network, now time.Time) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for certificates in %q: %w", dir, err)
	}
	files, err := generate(n, now)
	if err != nil {
		return err
	}
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("remove unfinished certificates: %w", err)
	}
	if err := os.MkdirAll(partial, 0o700); err != nil {
		return fmt.Errorf("make the folder of the certificates: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(partial, name), content, 0o600); err != nil {
			return fmt.Errorf("write certificates: %w", err)
		}
	}
	return os.Rename(partial, dir)
}

// generate returns the content of every file by name.
func generate(n layout.Network, now time.Time) (map[string][]byte, error) {
	files := make(map[string][]byte)
	put := func(name string, p Pair) {
		files[name+".crt"], files[name+".key"] = p.Certificate, p.Key
	}
	for authority, wanted := range map[string]map[string]Request{
		"ca": requests(n), "etcd-ca": etcdRequests, "front-proxy-ca": frontRequests,
	} {
		a, err := NewAuthority("bff-cluster "+authority, now)
		if err != nil {
			return nil, err
		}
		put(authority, a.Pair)
		for name, request := range wanted {
			pair, err := a.Issue(request, now)
			if err != nil {
				return nil, err
			}
			put(name, pair)
		}
	}
	signing, err := signingKey()
	if err != nil {
		return nil, err
	}
	files["service-account.pub"], files["service-account.key"] = signing.Certificate, signing.Key
	for name, identity := range kubeconfigs {
		content, err := kubeconfig(n.Server(), identity, files["ca.crt"], Pair{files[identity+".crt"], files[identity+".key"]})
		if err != nil {
			return nil, err
		}
		files[name+".kubeconfig"] = content
	}
	return files, nil
}

var kubeconfigTemplate = template.Must(template.New("kubeconfig").Funcs(template.FuncMap{
	"base64": base64.StdEncoding.EncodeToString,
}).Parse(`apiVersion: v1
kind: Config
clusters:
- name: bff-cluster
  cluster:
    server: {{.Server}}
    certificate-authority-data: {{base64 .Authority}}
users:
- name: {{.User}}
  user:
    client-certificate-data: {{base64 .Pair.Certificate}}
    client-key-data: {{base64 .Pair.Key}}
contexts:
- name: bff-cluster
  context:
    cluster: bff-cluster
    user: {{.User}}
current-context: bff-cluster
`))

// kubeconfig lets its reader log in as the owner of the pair.
func kubeconfig(server, user string, authority []byte, pair Pair) ([]byte, error) {
	var out bytes.Buffer
	err := kubeconfigTemplate.Execute(&out, struct {
		Server, User string
		Authority    []byte
		Pair         Pair
	}{server, user, authority, pair})
	if err != nil {
		return nil, fmt.Errorf("render the kubeconfig of %q: %w", user, err)
	}
	return out.Bytes(), nil
}
