// Package process starts programs that outlive the command that started them,
// and finds them again without ever mistaking another process for one of them.
package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Record identifies a process beyond its pid, which the kernel gives to
// another process one day.
type Record struct {
	PID int `json:"pid"`
	// Started is when, in clock ticks since the machine booted. Together with
	// the pid it is unique until the next boot.
	Started uint64 `json:"started"`
	// Executable is the resolved path of the program: after a boot, pid and
	// time may both be another's, but hardly with our own program.
	Executable string `json:"executable"`
}

// observation is what /proc says about a pid now.
type observation struct {
	started    uint64
	state      byte
	executable string
}

// runs decides whether the observed process is the recorded one, and alive.
func (r Record) runs(o observation) bool {
	// The kernel marks a program whose file was replaced, as a rebuild does.
	executable := strings.TrimSuffix(o.executable, " (deleted)")
	return r.Started == o.started && r.Executable == executable && o.state != 'Z' && o.state != 'X'
}

// Running tells whether the recorded process still runs.
func (r Record) Running() bool {
	o, err := observe(r.PID)
	return err == nil && r.runs(o)
}

func observe(pid int) (observation, error) {
	folder := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return observation{}, err
	}
	o, err := parseStat(string(stat))
	if err != nil {
		return observation{}, fmt.Errorf("process %d: %w", pid, err)
	}
	o.executable, err = os.Readlink(filepath.Join(folder, "exe"))
	return o, err
}

// parseStat reads state and start time, fields 3 and 22 of proc_pid_stat(5).
// Field 2, the program's name, may itself hold spaces and parentheses.
func parseStat(stat string) (observation, error) {
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return observation{}, errors.New("stat without a program name")
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 20 {
		return observation{}, fmt.Errorf("stat with %d fields after the name, need 20", len(fields))
	}
	started, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return observation{}, fmt.Errorf("start time: %w", err)
	}
	return observation{state: fields[0][0], started: started}, nil
}

// Load reads a record. A missing one is a record of no process.
func Load(file string) (Record, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil
	}
	if err != nil {
		return Record{}, fmt.Errorf("read process record: %w", err)
	}
	var r Record
	if err := json.Unmarshal(content, &r); err != nil {
		return Record{}, fmt.Errorf("read process record %q: %w", file, err)
	}
	return r, nil
}

func (r Record) save(file string) error {
	content, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	partial := file + ".partial"
	if err := os.WriteFile(partial, content, 0o644); err != nil {
		return err
	}
	return os.Rename(partial, file)
}
