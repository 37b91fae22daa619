// Package cpu reads from /proc what processes use.
package cpu

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is what the kernel counts CPU time in for /proc, on every architecture
// that Go runs on (USER_HZ).
const tick = 10 * time.Millisecond

// Usage is what a process and all below it have used.
type Usage struct {
	// User and System are CPU time in own code and in the kernel, in steps of 10 ms.
	// Children that have ended count once their parent has taken notice.
	User, System time.Duration
	// RSS is resident memory now and Peak the most of each process so far, in bytes.
	// Pages that processes share count in each.
	RSS, Peak int64
}

// Total is the CPU time.
func (u Usage) Total() time.Duration { return u.User + u.System }

// Since is what was used after an earlier reading; memory is that of u.
func (u Usage) Since(earlier Usage) Usage {
	u.User -= earlier.User
	u.System -= earlier.System
	return u
}

// Of reads the processes given and all their descendants.
func Of(roots ...int) (Usage, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return Usage{}, fmt.Errorf("list processes: %w", err)
	}
	all := map[int]stat{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // ended meanwhile
		}
		if all[pid], err = parseStat(string(data)); err != nil {
			return Usage{}, err
		}
	}
	var sum Usage
	for _, root := range roots {
		if _, there := all[root]; !there {
			return Usage{}, fmt.Errorf("process %d has ended", root)
		}
	}
	for pid := range tree(all, roots) {
		sum.User += all[pid].user
		sum.System += all[pid].system
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue // ended meanwhile
		}
		rss, peak, err := parseStatus(string(data))
		if err != nil {
			return Usage{}, err
		}
		sum.RSS += rss
		sum.Peak += peak
	}
	return sum, nil
}

type stat struct {
	parent       int
	user, system time.Duration
}

// tree are the roots and what descends from them.
func tree(all map[int]stat, roots []int) map[int]bool {
	in := map[int]bool{}
	for _, root := range roots {
		in[root] = true
	}
	for grown := true; grown; {
		grown = false
		for pid, s := range all {
			if !in[pid] && in[s.parent] {
				in[pid], grown = true, true
			}
		}
	}
	return in
}

// parseStat reads ppid, utime, stime, cutime and cstime (proc(5)).
func parseStat(text string) (stat, error) {
	// The name of the program may hold blanks and parentheses.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return stat{}, errors.New("read CPU time: /proc/PID/stat is cut short")
	}
	var n [5]int64
	for i, at := range []int{1, 11, 12, 13, 14} {
		value, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("read CPU time: %w", err)
		}
		n[i] = value
	}
	return stat{parent: int(n[0]), user: time.Duration(n[1]+n[3]) * tick, system: time.Duration(n[2]+n[4]) * tick}, nil
}

// parseStatus reads VmRSS and VmHWM. A process that is ending has neither.
func parseStatus(text string) (rss, peak int64, err error) {
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		into := map[string]*int64{"VmRSS": &rss, "VmHWM": &peak}[name]
		if into == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read memory: %s: %w", name, err)
		}
		*into = kib << 10
	}
	return rss, peak, nil
}
