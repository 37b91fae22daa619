package loadworld

import (
	"bufio"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReadValue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wire string
		want []string
		bad  bool
	}{
		"ok":                  {wire: "+OK\r\n", want: []string{"OK"}},
		"an invalidation":     {wire: ">2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\na\r\n$2\r\nbc\r\n", want: []string{"invalidate", "a", "bc"}},
		"everything flushed":  {wire: ">2\r\n$10\r\ninvalidate\r\n_\r\n", want: []string{"invalidate", ""}},
		"the answer of HELLO": {wire: "%2\r\n$5\r\nproto\r\n:3\r\n$7\r\nmodules\r\n*0\r\n", want: []string{"proto", "3", "modules"}},
		"an error":            {wire: "-ERR no\r\n", bad: true},
		"cut short":           {wire: ">2\r\n$10\r\ninval", bad: true},
		"a length below zero": {wire: "$-1\r\n", bad: true},
		"a length too long":   {wire: "$99999999\r\n", bad: true},
		"no length":           {wire: "*x\r\n", bad: true},
		"another protocol":    {wire: "HTTP/1.1 400 Bad Request\r\n", bad: true},
		"nothing":             {wire: "\r\n", bad: true},
	} {
		got, err := readValue(bufio.NewReader(strings.NewReader(c.wire)))
		if (err != nil) != c.bad || !c.bad && !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func TestBroadcasting(t *testing.T) {
	t.Parallel()
	list := "id=3 addr=127.0.0.1:1 name=B flags=N db=0\nid=4 flags=tB db=0\nid=5 flags=t db=0\nid=6 flags=B db=0\n"
	if n := broadcasting(list); n != 2 {
		t.Errorf("%d clients, want 2", n)
	}
}

// What a listener hears is what a real server sends.
func TestListener(t *testing.T) {
	t.Parallel()
	r, err := startRedis(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l, err := r.Listen(t.Context(), "bff:{x}:s:")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if all, err := r.Broadcasts(t.Context(), 0); err != nil || !all {
		t.Errorf("the listener is not seen: %t, %v", all, err)
	}
	if others, err := r.Broadcasts(t.Context(), 1); err != nil || others {
		t.Errorf("there are others: %t, %v", others, err)
	}
	for _, key := range []string{"bff:{x}:s:1", "bff:{x}:a:1", "bff:{x}:s:2", "bff:{y}:s:1"} {
		if err := r.client.Do(t.Context(), r.client.B().Set().Key(key).Value("v").Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); l.Heard().Keys < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("heard %+v", l.Heard())
		}
	}
	if heard := l.Heard(); heard.Keys != 2 || heard.Bytes < 60 || heard.Bytes > 120 {
		t.Errorf("heard %+v of two keys", heard)
	}
	kinds, err := r.Kinds(t.Context(), 100)
	if err != nil || len(kinds) != 2 || kinds[0].Name != "a" || kinds[0].Count != 1 || kinds[1].Name != "s" || kinds[1].Count != 3 || kinds[1].Bytes < 40 {
		t.Errorf("kinds %+v, %v", kinds, err)
	}
}
