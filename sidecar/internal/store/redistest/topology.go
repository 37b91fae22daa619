package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// SentinelSet is a primary, a replica of it, and a Sentinel that watches both.
type SentinelSet struct {
	Primary, Replica, Sentinel *Server
}

// All are the three of them.
func (s *SentinelSet) All() []*Server { return []*Server{s.Primary, s.Replica, s.Sentinel} }

// StartSentinel runs a set whose primary the Sentinel knows by name. It fails
// over within some seconds. portFlag and args are those of StartTCP, for each of
// the three.
func StartSentinel(t testing.TB, name, portFlag string, args ...string) *SentinelSet {
	t.Helper()
	primary := StartTCP(t, portFlag, args...)
	host, port, err := net.SplitHostPort(primary.TCP)
	if err != nil {
		t.Fatal(err)
	}
	set := &SentinelSet{Primary: primary, Replica: StartTCP(t, portFlag, append(slices.Clone(args), "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")...)}
	set.WaitReplicated(t)
	config := filepath.Join(t.TempDir(), "sentinel.conf") // which a Sentinel writes to
	text := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]s 1\nsentinel down-after-milliseconds %[1]s 1000\nsentinel failover-timeout %[1]s 5000\n", name, host, port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set.Sentinel = startConfigured(t, config, portFlag, append(slices.Clone(args), "--sentinel"))
	wait(t, "the Sentinel knows the replica", func(ctx context.Context) bool {
		answer, err := set.Sentinel.Command(ctx, "SENTINEL", "REPLICAS", name)
		return err == nil && answer == "1"
	})
	return set
}

// WaitReplicated waits until the replica has what the primary has.
func (s *SentinelSet) WaitReplicated(t testing.TB) {
	t.Helper()
	wait(t, "the replica is in step", func(ctx context.Context) bool {
		answer, err := s.Primary.Command(ctx, "WAIT", "1", "100")
		return err == nil && answer == "1"
	})
}

// startConfigured runs a server with a configuration file and a free port.
func startConfigured(t testing.TB, config, portFlag string, args []string) *Server {
	t.Helper()
	var err error
	for range 5 {
		var s *Server
		if s, err = startWith(t, config, portFlag, args); err == nil {
			return s
		}
	}
	t.Fatal(err)
	return nil
}

// ClusterSet is a Cluster of three nodes with slots, each with a replica.
type ClusterSet struct{ Nodes []*Server }

// StartCluster runs a Cluster. portFlag and args are those of StartTCP, for each
// node.
func StartCluster(t testing.TB, portFlag string, args ...string) *ClusterSet {
	t.Helper()
	c := &ClusterSet{}
	for range 6 {
		c.Nodes = append(c.Nodes, StartTCP(t, portFlag, append(slices.Clone(args), "--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
			"--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0")...))
	}
	for i, node := range c.Nodes {
		node.Must(t, "CLUSTER", "SET-CONFIG-EPOCH", fmt.Sprint(i+1))
		for _, other := range c.Nodes[:i] {
			host, port, _ := net.SplitHostPort(other.TCP)
			node.Must(t, "CLUSTER", "MEET", host, port, fmt.Sprint(other.clusterPort))
		}
	}
	for i, slots := range [][2]string{{"0", "5460"}, {"5461", "10922"}, {"10923", "16383"}} {
		c.Nodes[i].Must(t, "CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1])
	}
	for i := range 3 {
		id := c.Nodes[i].Must(t, "CLUSTER", "MYID")
		wait(t, "a replica knows its primary", func(ctx context.Context) bool {
			_, err := c.Nodes[i+3].Command(ctx, "CLUSTER", "REPLICATE", id)
			return err == nil
		})
	}
	for i, node := range c.Nodes {
		wait(t, "the Cluster serves", func(ctx context.Context) bool {
			info, err := node.Command(ctx, "CLUSTER", "INFO")
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:6")
		})
		if i < 3 {
			wait(t, "the replicas are in step", func(ctx context.Context) bool {
				answer, err := node.Command(ctx, "WAIT", "1", "100")
				return err == nil && answer == "1"
			})
		}
	}
	return c
}

// Addresses are those of all nodes.
func (c *ClusterSet) Addresses() []string {
	var addresses []string
	for _, node := range c.Nodes {
		addresses = append(addresses, node.TCP)
	}
	return addresses
}

// Owner is the node that serves a key.
func (c *ClusterSet) Owner(t testing.TB, key string) *Server {
	t.Helper()
	for _, node := range c.Nodes[:3] {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := node.Command(ctx, "EXISTS", key)
		cancel()
		if err == nil {
			return node
		}
	}
	t.Fatal("no node has the key's slot")
	return nil
}

// Move gives the slot of a key to another node, as a Cluster is resharded. keys
// are those of the slot.
func (c *ClusterSet) Move(t testing.TB, key string, to *Server, keys ...string) {
	t.Helper()
	from := c.Owner(t, key)
	slot := from.Must(t, "CLUSTER", "KEYSLOT", key)
	source, target := from.Must(t, "CLUSTER", "MYID"), to.Must(t, "CLUSTER", "MYID")
	to.Must(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", source)
	from.Must(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", target)
	host, port, err := net.SplitHostPort(to.TCP)
	if err != nil {
		t.Fatal(err)
	}
	from.Must(t, append([]string{"MIGRATE", host, port, "", "0", "5000", "KEYS"}, keys...)...)
	for _, node := range []*Server{to, from} {
		node.Must(t, "CLUSTER", "SETSLOT", slot, "NODE", target)
	}
}

func wait(t testing.TB, what string, holds func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for !holds(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("still not so after %s: %s", patience, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
