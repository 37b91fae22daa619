package loadworld

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the processor time a process has used so far, all of its threads, in
// its own code and in the kernel's. It is the sum of what /proc/PID/stat calls
// utime and stime, to the nanosecond instead of a hundredth of a second.
func CPU(pid int) (time.Duration, error) {
	// The clock of another process, as clock_getcpuclockid(3) names it.
	const scheduled = 2
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &used); err != nil {
		return 0, fmt.Errorf("read CPU time of process %d: %w", pid, err)
	}
	return time.Duration(used.Nano()), nil
}

// Memory is what a process has in memory, in bytes.
type Memory struct {
	// RSS is all of it. Anonymous leaves out pages of files: the executable, which
	// other replicas on the node share.
	RSS, Anonymous float64
	// Peak is the most RSS has been since ResetPeak, or the process's start.
	Peak float64
}

// MemoryOf reads the memory of a process.
func MemoryOf(pid int) (Memory, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("read memory: %w", err)
	}
	return parseStatus(string(data))
}

func parseStatus(status string) (Memory, error) {
	var m Memory
	found := 0
	for line := range strings.Lines(status) {
		name, rest, _ := strings.Cut(line, ":")
		into := map[string]*float64{"VmRSS": &m.RSS, "RssAnon": &m.Anonymous, "VmHWM": &m.Peak}[name]
		if into == nil {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
		if err != nil {
			return Memory{}, fmt.Errorf("read memory: %s: %w", name, err)
		}
		*into = kib * 1024
		found++
	}
	if found != 3 {
		return Memory{}, errors.New("read memory: /proc/PID/status has not all of VmRSS, RssAnon and VmHWM")
	}
	return m, nil
}

// ResetPeak has Memory.Peak begin anew.
func ResetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset peak memory: %w", err)
	}
	return nil
}
