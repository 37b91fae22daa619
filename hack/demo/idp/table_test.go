package idp

import (
	"fmt"
	"testing"
	"time"
)

// clock is a time that only moves when told.
type clock struct{ t time.Time }

func newClock() *clock                       { return &clock{time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)} }
func (c *clock) now() time.Time              { return c.t }
func (c *clock) pass(d time.Duration)        { c.t = c.t.Add(d) }
func (c *clock) table(limit int) *table[int] { return newTable[int](time.Minute, limit, c.now) }
func holds(t *table[int], keys ...string) (m map[string]bool) {
	m = map[string]bool{}
	for _, key := range keys {
		_, m[key] = t.get(key)
	}
	return m
}

func TestTableForgetsWhatHasExpired(t *testing.T) {
	c := newClock()
	table := c.table(10)
	if got, want := table.add("a", 1), c.now().Add(time.Minute); got != want {
		t.Errorf("expires %v, want %v", got, want)
	}
	c.pass(time.Minute - 1)
	if _, ok := table.get("a"); !ok {
		t.Error("gone before its time")
	}
	c.pass(1)
	if _, ok := table.get("a"); ok {
		t.Error("still there after its time")
	}
	table.set("a", 2)
	if _, ok := table.get("a"); ok {
		t.Error("set revived an expired entry")
	}
	table.add("b", 1)
	if len(table.entries) != 1 || table.order.Len() != 1 {
		t.Errorf("%d entries and %d rows are kept, want the new one only", len(table.entries), table.order.Len())
	}
}

func TestTableIsBounded(t *testing.T) {
	table := newClock().table(3)
	for i := range 1000 {
		table.add(fmt.Sprint(i), i)
		if len(table.entries) > 3 || table.order.Len() != len(table.entries) {
			t.Fatalf("after %d: %d entries, %d rows", i, len(table.entries), table.order.Len())
		}
	}
	if got := holds(table, "996", "997", "998", "999"); got["996"] || !got["997"] || !got["998"] || !got["999"] {
		t.Errorf("the newest must stay and the oldest go: %v", got)
	}
}

func TestTableSetKeepsTheExpiry(t *testing.T) {
	c := newClock()
	table := c.table(3)
	table.add("a", 1)
	c.pass(40 * time.Second)
	table.set("a", 2)
	if v, _ := table.get("a"); v != 2 {
		t.Errorf("value %d, want 2", v)
	}
	c.pass(40 * time.Second)
	if _, ok := table.get("a"); ok {
		t.Error("set made the entry live longer")
	}
}

func TestTableAddReplacesAndRenews(t *testing.T) {
	c := newClock()
	table := c.table(3)
	table.add("a", 1)
	table.add("b", 1)
	c.pass(40 * time.Second)
	table.add("a", 2)
	c.pass(40 * time.Second)
	if v, ok := table.get("a"); !ok || v != 2 {
		t.Errorf("got %d %v, want the new entry", v, ok)
	}
	if table.order.Len() != len(table.entries) {
		t.Errorf("%d rows for %d entries", table.order.Len(), len(table.entries))
	}
}

func TestTableRemoves(t *testing.T) {
	table := newClock().table(9)
	for i := range 6 {
		table.add(fmt.Sprint(i), i)
	}
	table.remove("0")
	table.remove("never there")
	table.removeFunc(func(v int) bool { return v%2 == 1 })
	if got := holds(table, "0", "1", "2", "3", "4", "5"); got["0"] || got["1"] || !got["2"] || got["3"] || !got["4"] || got["5"] {
		t.Errorf("left: %v, want 2 and 4", got)
	}
}
