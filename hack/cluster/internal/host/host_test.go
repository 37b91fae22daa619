package host

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/layout"
)

const v1Mounts = `30 20 0:25 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755
31 30 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
32 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
`
const hybridMounts = v1Mounts + "33 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
const v2Mounts = "30 20 0:25 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"

func TestCgroupHierarchies(t *testing.T) {
	for _, test := range []struct {
		name, mounts string
		roots        []string
		v2           bool
	}{
		{"version 1", v1Mounts, []string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory"}, false},
		{"both: runc makes groups in all", hybridMounts, []string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"}, false},
		{"version 2", v2Mounts, []string{"/sys/fs/cgroup"}, true},
		{"none", "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n", nil, true},
		{"another program's", "1 0 0:5 / /mnt/cgroup rw - cgroup2 cgroup2 rw\n", nil, true},
	} {
		c := cgroupHierarchies(test.mounts)
		if !slices.Equal(c.roots, test.roots) || c.v2 != test.v2 {
			t.Errorf("%s: %v v2=%t, want %v v2=%t", test.name, c.roots, c.v2, test.roots, test.v2)
		}
	}
}

func TestBelowPicksNestedMountsChildrenFirst(t *testing.T) {
	mounts := parseMounts(`1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 0:2 / /c/state rw - tmpfs tmpfs rw
3 2 0:3 / /c/state/pods/a\040b rw shared:1 master:2 - tmpfs tmpfs rw
4 1 0:4 / /c/statement rw - tmpfs tmpfs rw
broken line
`)
	got := below("/c/state", mounts)
	if want := []string{"/c/state/pods/a b", "/c/state"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOverlapping(t *testing.T) {
	n, err := layout.Plan(layout.DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		route route
		want  bool
	}{
		{"the default route", route{"default", "eth0"}, false},
		{"elsewhere", route{"192.168.1.0/24", "eth0"}, false},
		{"a larger one loses", route{"10.0.0.0/8", "tun0"}, false},
		{"the same block", route{"10.231.0.0/16", "docker0"}, true},
		{"a part of it", route{"10.231.9.0/24", "tun0"}, true},
		{"a single address of it", route{"10.231.9.1", "eth0"}, true},
		{"our services", route{n.Services.String(), layout.Device}, false},
		{"our pod", route{"10.231.64.7", "veth1"}, false},
	} {
		if r, got := overlapping(n.Block, n.Pods, []route{test.route}); got != test.want {
			t.Errorf("%s: %t (%v)", test.name, got, r)
		}
	}
	if _, got := overlapping(netip.MustParsePrefix("10.9.0.0/16"), netip.MustParsePrefix("10.9.64.0/18"), []route{{"10.231.9.0/24", "tun0"}}); got {
		t.Error("another block collides too")
	}
}

func TestAbsentNamesThePackagesOfWhatIsMissing(t *testing.T) {
	got := absent(func(file string) (string, error) {
		if file == "nft" || strings.HasPrefix(file, CNIPlugins) {
			return "", os.ErrNotExist
		}
		return file, nil
	})
	if want := []string{"containernetworking-plugins", "nftables"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestInstallWithoutAptNamesThePackages(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := Install(context.Background(), os.Stderr)
	if err == nil || !strings.Contains(err.Error(), "containerd") || !strings.Contains(err.Error(), "CLUSTER=current") {
		t.Errorf("%v", err)
	}
}
