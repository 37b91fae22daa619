package gate_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

var home = netip.MustParsePrefix("203.0.113.0/24")

func TestDecideMove(t *testing.T) {
	for _, c := range []struct {
		mode    v1alpha1.BindingMode
		network netip.Prefix
		address string
		want    gate.Move
	}{
		{v1alpha1.BindingTerminate, home, "203.0.113.200", gate.MoveNone},
		{v1alpha1.BindingDisabled, home, "198.51.100.1", gate.MoveNone},
		{"", home, "198.51.100.1", gate.MoveNone},
		{v1alpha1.BindingAudit, home, "198.51.100.1", gate.MoveNoted},
		{v1alpha1.BindingReauthenticate, home, "198.51.100.1", gate.MoveRefused},
		{v1alpha1.BindingTerminate, home, "198.51.100.1", gate.MoveEnds},
		// The other family is another network.
		{v1alpha1.BindingTerminate, home, "2001:db8::1", gate.MoveEnds},
		// An address that nobody knows is not of the session's network.
		{v1alpha1.BindingTerminate, home, "", gate.MoveEnds},
		// A session that was made before it could be bound is not.
		{v1alpha1.BindingTerminate, netip.Prefix{}, "198.51.100.1", gate.MoveNone},
		{v1alpha1.BindingTerminate, netip.Prefix{}, "", gate.MoveNone},
	} {
		var address netip.Addr
		if c.address != "" {
			address = netip.MustParseAddr(c.address)
		}
		if got := gate.DecideMove(c.mode, c.network, address); got != c.want {
			t.Errorf("%s, %s from %q: %d, want %d", c.mode, c.network, c.address, got, c.want)
		}
	}
}

// binding counts what comes of it.
type binding struct {
	*gate.Binding
	audited, ended int
	err            error
}

func newBinding(mode v1alpha1.BindingMode) *binding {
	b := &binding{}
	b.Binding = gate.NewBinding(gate.BindingOptions{
		Mode:  func() v1alpha1.BindingMode { return mode },
		End:   func(context.Context, *session.Session) error { b.ended++; return b.err },
		Audit: func(context.Context, gate.Move) { b.audited++ }})
	return b
}

func TestBinding(t *testing.T) {
	for mode, want := range map[v1alpha1.BindingMode]struct {
		kind           problem.Kind
		audited, ended int
	}{
		v1alpha1.BindingDisabled:       {},
		v1alpha1.BindingAudit:          {problem.None, 1, 0},
		v1alpha1.BindingReauthenticate: {problem.NetworkChanged, 1, 0},
		v1alpha1.BindingTerminate:      {problem.SessionEnded, 1, 2},
	} {
		b := newBinding(mode)
		sess := &session.Session{ID: "a", Network: home}
		for _, address := range []string{"198.51.100.1", "198.51.100.77"} { // one network
			v, err := b.Check(t.Context(), sess, netip.MustParseAddr(address))
			if err != nil || v.Kind != want.kind || v.Kind != problem.None && v.Detail == "" {
				t.Errorf("%s: %+v, %v", mode, v, err)
			}
		}
		if b.audited != want.audited || b.ended != want.ended {
			t.Errorf("%s: audited %d times, ended %d times", mode, b.audited, b.ended)
		}
		if v, err := b.Check(t.Context(), sess, netip.MustParseAddr("203.0.113.1")); err != nil || v.Kind != problem.None {
			t.Errorf("%s: refused at home: %+v, %v", mode, v, err)
		}
	}
}

// Auditors are told once for each session and network, and what is remembered
// for that has a bound.
func TestAuditIsBounded(t *testing.T) {
	b := newBinding(v1alpha1.BindingAudit)
	check := func(id, address string) {
		t.Helper()
		if v, err := b.Check(t.Context(), &session.Session{ID: id, Network: home}, netip.MustParseAddr(address)); err != nil || v.Kind != problem.None {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	check("a", "198.51.100.1")
	check("a", "198.51.101.1")
	check("b", "198.51.100.1")
	check("a", "2001:db8::1")
	check("a", "2001:db8::2")
	check("a", "198.51.100.9")
	if b.audited != 4 {
		t.Errorf("audited %d times, want 4", b.audited)
	}
	for i := range 20_000 {
		check(fmt.Sprint(i), "198.51.100.1")
	}
	b.audited = 0
	check("19999", "198.51.100.1")
	check("0", "198.51.100.1")
	if b.audited != 1 {
		t.Errorf("the newest was forgotten or the oldest was not: %d", b.audited)
	}
}

// A session that could not be ended is not used either.
func TestEndFails(t *testing.T) {
	b := newBinding(v1alpha1.BindingTerminate)
	b.err = errors.New("store away")
	v, err := b.Check(t.Context(), &session.Session{ID: "a", Network: home}, netip.MustParseAddr("198.51.100.1"))
	if !errors.Is(err, b.err) || v.Kind == problem.None {
		t.Errorf("%+v, %v", v, err)
	}
}
