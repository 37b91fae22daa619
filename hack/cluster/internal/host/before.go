package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// kernelSettings are what kubelet, kube-proxy and pods' networking change.
var kernelSettings = []string{
	"kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys", "kernel/panic", "kernel/panic_on_oops",
	"net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom",
}

// traces are folders outside of the cluster's own that kubelet, containerd and
// the network plugins insist on.
var traces = []string{"/run/containerd", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers"}

// Before is the machine as the cluster found it.
type Before struct {
	Settings map[string]string `json:"settings"`
	// Absent are the traces that were not there.
	Absent []string `json:"absent"`
}

// Remember writes down how the machine is, unless that was done already.
func Remember(file string) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	b := Before{Settings: map[string]string{}}
	for _, name := range kernelSettings {
		value, err := os.ReadFile(filepath.Join("/proc/sys", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read kernel setting %s: %w", name, err)
		}
		b.Settings[name] = strings.TrimSpace(string(value))
	}
	for _, folder := range traces {
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			b.Absent = append(b.Absent, folder)
		}
	}
	content, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the machine's settings: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	return os.WriteFile(file, content, 0o644)
}

// AllowForwarding lets the kernel pass packets on between pods.
func AllowForwarding() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("allow forwarding: %w", err)
	}
	return nil
}

// Restore puts the machine back as Remember found it.
func Restore(file string) error {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the machine's former settings: %w", err)
	}
	var b Before
	if err := json.Unmarshal(content, &b); err != nil {
		return fmt.Errorf("read the machine's former settings in %q: %w", file, err)
	}
	for name, value := range b.Settings {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0); err != nil {
			return fmt.Errorf("restore kernel setting %s: %w", name, err)
		}
	}
	for _, folder := range b.Absent {
		if err := removeUnmounted(folder); err != nil {
			return err
		}
	}
	return nil
}

// removeUnmounted deletes a folder, after it made sure that nothing mounted in
// it is deleted along.
func removeUnmounted(folder string) error {
	if err := Unmount(folder); err != nil {
		return err
	}
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("remove %q: %w", folder, err)
	}
	return nil
}

// RemoveShimSockets deletes the sockets of container shims that were killed.
// Each shim wrote its socket's address into its bundle, below state.
func RemoveShimSockets(state string) error {
	files, err := filepath.Glob(filepath.Join(state, "io.containerd.runtime.v2.task/*/*/address"))
	if err != nil {
		return fmt.Errorf("look for shims: %w", err)
	}
	for _, file := range files {
		address, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read a shim's address: %w", err)
		}
		socket := strings.TrimPrefix(strings.TrimSpace(string(address)), "unix://")
		if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a shim's socket: %w", err)
		}
	}
	return nil
}

// RemoveLogLinks deletes the links the kubelet made to logs below state.
func RemoveLogLinks(state string) error {
	links, err := filepath.Glob("/var/log/containers/*.log")
	if err != nil {
		return fmt.Errorf("look for log links: %w", err)
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(target, state+"/") {
			continue
		}
		if err := os.Remove(link); err != nil {
			return fmt.Errorf("remove log link: %w", err)
		}
	}
	return nil
}

// Remove deletes a folder of the cluster once nothing is mounted in it.
func Remove(folder string) error { return removeUnmounted(folder) }
