package cpu

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const rest = " 77 70 70 0 -1 4194560 1 2 3 4 100 20 5 1 20 0 1 0 123 456 7"
	for name, test := range map[string]struct {
		text string
		want stat
		bad  bool
	}{
		"a plain name":          {text: "42 (nginx) S" + rest, want: stat{77, 1050 * time.Millisecond, 210 * time.Millisecond}},
		"a name with blanks":    {text: "42 (a ) b) R" + rest, want: stat{77, 1050 * time.Millisecond, 210 * time.Millisecond}},
		"cut short":             {text: "42 (nginx) S 77 70", bad: true},
		"nothing":               {text: "", bad: true},
		"no number":             {text: "42 (nginx) S 77 70 70 0 -1 4194560 1 2 3 4 x 20 5 1 20 0 1 0 123", bad: true},
		"no number as a parent": {text: "42 (nginx) S ?" + rest[3:], bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat(test.text)
			if (err != nil) != test.bad || got != test.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestParseStatus(t *testing.T) {
	rss, peak, err := parseStatus("Name:\tnginx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
	if err != nil || rss != 1<<20 || peak != 2<<20 {
		t.Errorf("got %d, %d, %v", rss, peak, err)
	}
	if _, _, err := parseStatus("VmRSS:\tmuch kB\n"); err == nil {
		t.Error("a size that is no number was accepted")
	}
}

func TestTreeTakesDescendantsAndNobodyElse(t *testing.T) {
	all := map[int]stat{1: {parent: 0}, 5: {parent: 1}, 6: {parent: 5}, 7: {parent: 6}, 8: {parent: 1}, 9: {parent: 8}}
	if got := slices.Sorted(maps.Keys(tree(all, []int{5, 9}))); !slices.Equal(got, []int{5, 6, 7, 9}) {
		t.Errorf("got %v", got)
	}
}

func TestOfCountsAChild(t *testing.T) {
	child := exec.Command("sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exec sleep 60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		whole, err := Of(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		alone, err := Of(child.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if alone.User > 0 && whole.User >= alone.User && alone.RSS > 0 && whole.RSS > alone.RSS && alone.Peak >= alone.RSS {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the whole tree: %v, the child: %v", whole, alone)
		}
	}
}

func TestOfAProcessThatHasEnded(t *testing.T) {
	child := exec.Command("true")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := Of(child.Process.Pid); err == nil {
		t.Error("no error")
	}
}
