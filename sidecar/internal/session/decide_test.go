package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

func TestMargin(t *testing.T) {
	for life, want := range map[time.Duration]time.Duration{
		-time.Hour:       0,
		0:                0,
		2 * time.Second:  200 * time.Millisecond,
		time.Minute:      6 * time.Second,
		5 * time.Minute:  30 * time.Second,
		10 * time.Minute: 30 * time.Second,
		24 * time.Hour:   30 * time.Second,
	} {
		if got := margin(life, 0); got != want {
			t.Errorf("a token of %s is renewed %s ahead, want %s", life, got, want)
		}
		if got := margin(life, 0.5); got != want*3/4 {
			t.Errorf("a token of %s is renewed %s ahead by who is in the middle, want %s", life, got, want*3/4)
		}
		if got := margin(life, 1); got != want/2 {
			t.Errorf("a token of %s is renewed %s ahead by the last, want %s", life, got, want/2)
		}
	}
}

func TestNeed(t *testing.T) {
	issued := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	orders := token.Target{Resource: "https://orders.example.com"}
	narrowed := token.Access{Token: "n", ObtainedAt: issued, Expiry: issued.Add(10 * time.Second)}
	for name, row := range map[string]struct {
		life      time.Duration // 0: unknown
		noRefresh bool
		after     time.Duration
		late      float64
		want      want
		need      need
	}{
		"fresh":                                   {life: time.Minute, after: time.Second, need: needNothing},
		"just before the margin":                  {life: time.Minute, after: 54*time.Second - 1, need: needNothing},
		"at the margin":                           {life: time.Minute, after: 54 * time.Second, need: needSoon},
		"at the margin, but this one is late":     {life: time.Minute, after: 54 * time.Second, late: 0.9, need: needNothing},
		"at the last margin":                      {life: time.Minute, after: 57 * time.Second, late: 1, need: needSoon},
		"just before it expires":                  {life: time.Minute, after: time.Minute - 1, need: needSoon},
		"expires":                                 {life: time.Minute, after: time.Minute, need: needNow},
		"expired":                                 {life: time.Minute, after: time.Hour, need: needNow},
		"within the margin, nothing to renew it":  {life: time.Minute, noRefresh: true, after: 59 * time.Second, need: needNothing},
		"expired, nothing to renew it":            {life: time.Minute, noRefresh: true, after: time.Minute, need: needLogin},
		"OA-08 unknown expiry":                    {after: 1000 * time.Hour, need: needNothing},
		"unknown expiry, nothing to renew it":     {noRefresh: true, after: 1000 * time.Hour, need: needNothing},
		"OA-08 unknown expiry and refused":        {after: time.Second, want: want{refused: "a"}, need: needNow},
		"refused, nothing to renew it":            {noRefresh: true, want: want{refused: "a"}, need: needNothing},
		"another one was refused":                 {after: time.Second, want: want{refused: "b"}, need: needNothing},
		"expired when it came":                    {life: -time.Minute, need: needNow},
		"expired when it came, nothing to renew":  {life: -time.Minute, noRefresh: true, need: needLogin},
		"clock went back before it was obtained":  {life: time.Minute, after: -time.Hour, need: needNothing},
		"a life of a day has a margin of seconds": {life: 24 * time.Hour, after: 24*time.Hour - 31*time.Second, need: needNothing},
		"RES-04 narrowed, fresh":                  {want: want{target: orders}, need: needNothing},
		"narrowed, at its margin":                 {want: want{target: orders}, after: 9 * time.Second, need: needSoon},
		"narrowed, expired":                       {want: want{target: orders}, after: 10 * time.Second, need: needNow},
		"narrowed, for another target":            {want: want{target: token.Target{Resource: "x"}}, need: needNow},
		"narrowed, and nothing to get one with":   {want: want{target: token.Target{Resource: "x"}}, noRefresh: true, need: needLogin},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := token.Set{Access: token.Access{Token: "a", ObtainedAt: issued}, Refresh: "r"}.With(orders, narrowed)
			if row.life != 0 {
				tokens.Access.Expiry = issued.Add(row.life)
			}
			if row.noRefresh {
				tokens.Refresh = ""
			}
			if got := row.want.need(tokens, issued.Add(row.after), row.late); got != row.need {
				t.Errorf("need is %d, want %d", got, row.need)
			}
		})
	}
}

func TestUsedLately(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	const idle = 30 * time.Minute
	for name, row := range map[string]struct {
		left, life time.Duration
		uncut      time.Duration // what is left, as far as it is known apart from its life
		want       bool
	}{
		"just now":                              {left: idle, life: time.Hour, want: true},
		"a while ago":                           {left: 28 * time.Minute, life: time.Hour, want: true},
		"a tenth ago":                           {left: 27 * time.Minute, life: time.Hour, want: false},
		"long ago":                              {left: time.Minute, life: time.Hour, want: false},
		"the timeout was longer then":           {left: 50 * time.Minute, life: time.Hour, want: false},
		"the end of its life hides the answer":  {left: 29 * time.Minute, life: 29 * time.Minute, want: false},
		"nor does the store tell more":          {left: 29 * time.Minute, life: 29 * time.Minute, uncut: 29 * time.Minute, want: false},
		"written here near the end of its life": {left: 10 * time.Minute, life: 10 * time.Minute, uncut: 28 * time.Minute, want: true},
		"written here a tenth ago":              {left: 10 * time.Minute, life: 10 * time.Minute, uncut: 27 * time.Minute, want: false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Session{IdleExpiresAt: now.Add(row.left), ExpiresAt: now.Add(row.life), idles: now.Add(row.uncut)}
			if got := usedLately(s, now, idle); got != row.want {
				t.Errorf("used lately: %v, want %v", got, row.want)
			}
		})
	}
}

func TestMarksAreBounded(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	m := newMarks(100)
	for i := range 1000 {
		if !m.set(fmt.Sprint(i), now, now.Add(time.Hour)) {
			t.Fatalf("%d is marked already", i)
		}
		if len(m.until) > 100 {
			t.Fatalf("%d marks", len(m.until))
		}
	}
	m.move("999", now.Add(2*time.Hour))
	m.move("none", now.Add(2*time.Hour))
	if m.holds("none", now) || !m.holds("999", now.Add(time.Hour)) {
		t.Error("a mark was not moved, or one was made")
	}
	if !m.holds("999", now) || m.set("999", now, now.Add(time.Hour)) {
		t.Error("the newest mark is gone")
	}
	m.clear("999")
	if m.holds("999", now) {
		t.Error("a cleared mark holds")
	}
	// What has run out goes before what holds.
	m = newMarks(100)
	for i := range 99 {
		m.set(fmt.Sprint(i), now, now.Add(time.Minute))
	}
	m.set("kept", now, now.Add(time.Hour))
	m.set("new", now.Add(2*time.Minute), now.Add(time.Hour))
	if len(m.until) != 2 || !m.holds("kept", now.Add(2*time.Minute)) {
		t.Errorf("%d marks are left, want the two that hold", len(m.until))
	}
}

func TestCookieValuesHaveOneSpelling(t *testing.T) {
	keys := keysOf("policy")
	h, value, err := keys.newHandle(strings.NewReader(strings.Repeat("\xff", secretSize)))
	if err != nil {
		t.Fatal(err)
	}
	again, ok := keys.handle(value)
	if !ok || again != h || !strings.HasPrefix(h.key, "bff:{policy}:s:") || strings.Contains(h.key, value) {
		t.Fatalf("%q parses to %v, %v", value, again, ok)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	accepted := 0
	for _, last := range alphabet {
		if _, ok := keys.handle(value[:42] + string(last)); ok {
			accepted++
		}
	}
	if accepted != 16 { // four bits of the secret, and two spare ones that are zero
		t.Errorf("%d of 64 last characters are accepted, want 16", accepted)
	}
	for _, bad := range []string{"", value[:42], value + "A", value[:42] + "=", value[:20] + "\n" + value[21:], value[:41] + "\r\n", " " + value[1:]} {
		if _, ok := keys.handle(bad); ok {
			t.Errorf("%q was accepted", bad)
		}
	}
	if _, _, err := keys.newHandle(strings.NewReader("short")); err == nil {
		t.Error("a handle was made of too little randomness")
	}
}
