package loadworld

import (
	"io"
	"os/exec"
	"testing"
	"time"
)

func TestParseStatus(t *testing.T) {
	t.Parallel()
	got, err := parseStatus("Name:\tbff\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nRssAnon:\t    5120 kB\nRssFile:\t 1 kB\n")
	if err != nil || got != (Memory{RSS: 10 << 20, Anonymous: 5 << 20, Peak: 20 << 20}) {
		t.Errorf("%+v, %v", got, err)
	}
	for name, text := range map[string]string{"a zombie has none": "Name:\tbff\nState:\tZ\n", "not a number": "VmRSS:\tmuch kB\n"} {
		if _, err := parseStatus(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What is read of a process is what the kernel also counts for its children.
func TestAnotherProcess(t *testing.T) {
	t.Parallel()
	child := exec.Command("sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; read forever")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	used, err := CPU(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := MemoryOf(child.Process.Pid); err != nil || m.Peak < m.RSS/2 || m.Anonymous <= 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if err := ResetPeak(child.Process.Pid); err != nil {
		t.Error(err)
	}
	stdin.Close()
	if err := child.Wait(); err != nil && child.ProcessState.ExitCode() != 1 {
		t.Fatal(err)
	}
	all := child.ProcessState.UserTime() + child.ProcessState.SystemTime()
	if used <= 0 || used > all+20*time.Millisecond || used < all/2 {
		t.Errorf("%s were read, the kernel says %s", used, all)
	}
	if _, err := CPU(child.Process.Pid); err == nil {
		t.Error("a process that is gone has CPU time")
	}
}

func TestParseMetrics(t *testing.T) {
	t.Parallel()
	m, err := ParseMetrics(`# HELP bff_store_calls_total Calls.
bff_store_calls_total{operation="load"} 3
bff_store_calls_total{operation="create"} 1e+03
bff_store_calls_total_more 7
go_memstats_heap_alloc_bytes 1.5e+06
`)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Sum("bff_store_calls_total"); got != 1003 {
		t.Errorf("the sum is %v", got)
	}
	if got := m.Sum("go_memstats_heap_alloc_bytes"); got != 1.5e6 {
		t.Errorf("the gauge is %v", got)
	}
	if by := m.By("bff_store_calls_total"); len(by) != 2 || by["load"] != 3 || by["create"] != 1000 {
		t.Errorf("by label %v", by)
	}
	for _, bad := range []string{"name", "name x"} {
		if _, err := ParseMetrics(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseInfo(t *testing.T) {
	t.Parallel()
	info := parseInfo("# Memory\r\nused_memory:1048576\r\nused_cpu_user:1.5\r\nused_cpu_sys:0.25\r\n" +
		"cmdstat_evalsha:calls=10,usec=5,usec_per_call=0.5\r\ncmdstat_client|tracking:calls=2,usec=1\r\ncmdstat_broken:calls=x\r\nredis_version:7.0.15\r\n")
	if info.Memory != 1<<20 || info.CPU != 1750*time.Millisecond || info.Version != "7.0.15" {
		t.Errorf("%+v", info)
	}
	if len(info.Calls) != 2 || info.Calls["evalsha"] != 10 || info.Calls["client|tracking"] != 2 {
		t.Errorf("calls %v", info.Calls)
	}
}

func TestPodEnvironment(t *testing.T) {
	t.Parallel()
	if got := PodEnvironment(64 << 20); len(got) != 1 || got[0] != "GOMEMLIMIT=60397974" {
		t.Errorf("%v", got)
	}
}
