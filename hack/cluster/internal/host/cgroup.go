package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Cgroup is a control group that exists under one name in every hierarchy of
// this machine: one with cgroup v2, one per controller with v1. Whatever the
// cluster starts stays in it, so it tells what is the cluster's.
type Cgroup struct {
	name  string
	roots []string // mount points of the hierarchies
	v2    bool     // v2 alone, with the controllers in it
}

// FindCgroup looks at how this machine mounts its control groups.
func FindCgroup(name string) (Cgroup, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return Cgroup{}, fmt.Errorf("read mounts: %w", err)
	}
	c := cgroupHierarchies(string(mounts))
	c.name = name
	if len(c.roots) == 0 {
		return Cgroup{}, errors.New("no control groups are mounted below /sys/fs/cgroup: mount cgroup2 there")
	}
	return c, nil
}

// cgroupHierarchies picks the hierarchies out of mountinfo. Where v1 and v2 are
// both mounted, the controllers are in v1, and v2 only groups processes.
func cgroupHierarchies(mountinfo string) Cgroup {
	var v1, v2 []string
	for _, m := range parseMounts(mountinfo) {
		if m.Point != "/sys/fs/cgroup" && !strings.HasPrefix(m.Point, "/sys/fs/cgroup/") {
			continue
		}
		switch m.Type {
		case "cgroup":
			v1 = append(v1, m.Point)
		case "cgroup2":
			v2 = append(v2, m.Point)
		}
	}
	return Cgroup{roots: slices.Concat(v1, v2), v2: len(v1) == 0}
}

// Ensure makes the group, with a leaf for the cluster's own processes: v2
// allows processes only in leaves.
func (c Cgroup) Ensure() error {
	for _, root := range c.roots {
		group := filepath.Join(root, c.name)
		if err := os.MkdirAll(group, 0o755); err != nil {
			return fmt.Errorf("make control group: %w", err)
		}
		if c.v2 {
			if err := delegate(root, group); err != nil {
				return err
			}
		}
		leaf := filepath.Join(group, "system")
		if err := os.MkdirAll(leaf, 0o755); err != nil {
			return fmt.Errorf("make control group: %w", err)
		}
		if c.v2 {
			continue
		}
		for _, dir := range []string{group, leaf} {
			if err := inheritCPUs(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// delegate passes every controller of a v2 hierarchy down.
func delegate(dirs ...string) error {
	for _, dir := range dirs {
		available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if err != nil {
			return fmt.Errorf("read controllers: %w", err)
		}
		for controller := range strings.FieldsSeq(string(available)) {
			if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0); err != nil {
				return fmt.Errorf("pass controller %s down in %s: %w", controller, dir, err)
			}
		}
	}
	return nil
}

// inheritCPUs fills the two files without which the v1 cpuset controller lets
// no process in.
func inheritCPUs(dir string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		file := filepath.Join(dir, name)
		own, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) || strings.TrimSpace(string(own)) != "" {
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		parents, err := os.ReadFile(filepath.Join(filepath.Dir(dir), name))
		if err != nil {
			return fmt.Errorf("read %s of the parent: %w", name, err)
		}
		if err := os.WriteFile(file, parents, 0); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
	}
	return nil
}

// Adopt moves a process in.
func (c Cgroup) Adopt(pid int) error {
	for _, root := range c.roots {
		file := filepath.Join(root, c.name, "system", "cgroup.procs")
		if err := os.WriteFile(file, []byte(strconv.Itoa(pid)), 0); err != nil {
			return fmt.Errorf("move process %d to its control group: %w", pid, err)
		}
	}
	return nil
}

// Processes lists the pids in the group and all groups below it.
func (c Cgroup) Processes() ([]int, error) {
	var pids []int
	for _, root := range c.roots {
		err := filepath.WalkDir(filepath.Join(root, c.name), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return ignoreGone(err)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return ignoreGone(err)
			}
			for field := range strings.FieldsSeq(string(content)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
					pids = append(pids, pid)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list processes of the control group: %w", err)
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

// ignoreGone makes nothing of a group, or a process, that went away meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil
	}
	return err
}

// Remove kills whatever is still in the group and deletes it.
func (c Cgroup) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		pids, err := c.Processes()
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			if err = c.removeFolders(); err == nil {
				return nil
			}
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone meanwhile: the next round sees
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("control group %s is still in use by %v: %w", c.name, pids, errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
}

func (c Cgroup) removeFolders() error {
	for _, root := range c.roots {
		var folders []string
		err := filepath.WalkDir(filepath.Join(root, c.name), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				folders = append(folders, path)
			}
			return ignoreGone(err)
		})
		if err != nil {
			return err
		}
		slices.Reverse(folders) // children first
		for _, folder := range folders {
			if err := syscall.Rmdir(folder); ignoreGone(err) != nil {
				return fmt.Errorf("remove %s: %w", folder, err)
			}
		}
	}
	return nil
}
