// Package machine says where figures come from.
package machine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Facts about a machine.
type Facts struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Memory string `json:"memory"`
	Kernel string `json:"kernel"`
	System string `json:"system"`
	Go     string `json:"go"`
}

// Read finds them out. What cannot be found out is "unknown".
func Read() Facts {
	return Facts{
		CPU:  field("/proc/cpuinfo", "model name"),
		CPUs: runtime.NumCPU(), Memory: field("/proc/meminfo", "MemTotal"),
		Kernel: strings.TrimSpace(read("/proc/sys/kernel/osrelease")),
		System: strings.Trim(field("/etc/os-release", "PRETTY_NAME"), `"`),
		Go:     runtime.Version(),
	}
}

func (f Facts) String() string {
	return fmt.Sprintf("%d x %s, %s of memory, Linux %s, %s, %s", f.CPUs, f.CPU, f.Memory, f.Kernel, f.System, f.Go)
}

const unknown = "unknown"

func read(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return unknown
	}
	return string(data)
}

func field(path, name string) string { return find(read(path), name) }

// find is the value of the first line that begins with name, behind : or =.
func find(text, name string) string {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		rest = strings.TrimLeft(rest, " \t")
		if rest != "" && (rest[0] == ':' || rest[0] == '=') {
			return strings.TrimSpace(rest[1:])
		}
	}
	return unknown
}

// Version is what a program prints about its version, of which the first word
// that looks like one is taken.
func Version(ctx context.Context, program string, args ...string) string {
	output, _ := exec.CommandContext(ctx, program, args...).CombinedOutput() // wrk -v ends with an error
	return version(string(output))
}

func version(text string) string {
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(" \t\n/=,()", r) }) {
		bare := strings.TrimPrefix(word, "v")
		if bare != "" && bare[0] >= '0' && bare[0] <= '9' && strings.Contains(bare, ".") {
			return bare
		}
	}
	return unknown
}
