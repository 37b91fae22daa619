package control

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/layout"
)

// client asks the cluster's parts how they are. It is not client-go, so that
// this command itself compiles in a second.
type client struct {
	http   *http.Client
	server string
}

func newClient(l layout.Layout, n layout.Network) (*client, error) {
	authority, err := os.ReadFile(l.PKI("ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("read the cluster's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("the cluster's authority is no certificate")
	}
	admin, err := tls.LoadX509KeyPair(l.PKI("admin.crt"), l.PKI("admin.key"))
	if err != nil {
		return nil, fmt.Errorf("read the administrator's certificate: %w", err)
	}
	return &client{
		server: n.Server(),
		http: &http.Client{
			Timeout: 5 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{
				RootCAs: pool, Certificates: []tls.Certificate{admin}, MinVersion: tls.VersionTLS13,
			}},
		},
	}, nil
}

// get reads an object of the API into v.
func (c *client) get(ctx context.Context, path string, v any) error {
	body, err := c.fetch(ctx, c.http, c.server+path)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

// healthy asks a part itself. Controller manager and scheduler sign their own
// certificates, and say nothing but "ok" there.
func (c *client) healthy(ctx context.Context, url string) error {
	own := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	}}
	_, err := c.fetch(ctx, own, url)
	return err
}

func (c *client) fetch(ctx context.Context, via *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := via.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", url, response.Status)
	}
	return body, nil
}

// node is as much of a Node as matters here.
type node struct {
	Status struct {
		Conditions []struct {
			Type, Status, Message string
			LastHeartbeatTime     time.Time
		}
	}
}

// nodeReady is nil once the kubelet said so, and said it after since: the API
// still tells what a kubelet before this one said.
func (c *client) nodeReady(ctx context.Context, since time.Time) error {
	var n node
	if err := c.get(ctx, "/api/v1/nodes/"+layout.Node, &n); err != nil {
		return err
	}
	for _, condition := range n.Status.Conditions {
		switch {
		case condition.Type != "Ready":
		case condition.LastHeartbeatTime.Before(since.Truncate(time.Second)):
			return errors.New("the kubelet has not spoken since it started")
		case condition.Status != "True":
			return errors.New(condition.Message)
		default:
			return nil
		}
	}
	return errors.New("the node has not told whether it is ready")
}

// dnsReady is nil once the cluster's name server answers at its address, which
// takes a pod, its network and the rules of kube-proxy.
func dnsReady(ctx context.Context, n layout.Network) error {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, netip.AddrPortFrom(n.DNS, 53).String())
	}}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	const name = "kubernetes.default.svc." + layout.Domain + "."
	addresses, err := resolver.LookupNetIP(ctx, "ip4", name)
	if err != nil {
		return err
	}
	if !slices.Contains(addresses, n.API) {
		return fmt.Errorf("%s resolves to %v, not to %s", name, addresses, n.API)
	}
	return nil
}
