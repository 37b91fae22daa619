package loads

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadreport"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

// describe says what the figures hold for.
func describe(ctx context.Context, binary string) (loadreport.Machine, error) {
	version, err := loadworld.Version(ctx, binary)
	if err != nil {
		return loadreport.Machine{}, err
	}
	redis, err := exec.CommandContext(ctx, "redis-server", "--version").Output()
	if err != nil {
		return loadreport.Machine{}, fmt.Errorf("redis-server is needed: %w", err)
	}
	return loadreport.Machine{
		Time: time.Now().UTC(), CPU: field(read("/proc/cpuinfo"), "model name"), CPUs: runtime.NumCPU(),
		Kernel: strings.TrimSpace(read("/proc/sys/kernel/osrelease")), Go: runtime.Version(), Sidecar: version,
		Redis: redisVersion(string(redis)), Load: first(read("/proc/loadavg")),
	}, nil
}

// read is a file of /proc, "" if it is not there.
func read(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}

// field is the first value of a name in lines "name : value".
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if n, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(n) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

func first(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return word
}

// redisVersion finds v=7.0.15 in what redis-server says of itself.
func redisVersion(text string) string {
	for word := range strings.FieldsSeq(text) {
		if version, ok := strings.CutPrefix(word, "v="); ok {
			return version
		}
	}
	return "of unknown version"
}
