package gate

import (
	"context"
	"net/netip"
	"sync"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// Move is what comes of a session that is used from some address.
type Move uint8

const (
	// MoveNone: the session is not bound, or the address is of its network.
	MoveNone Move = iota
	// MoveNoted: another network. The call goes on and auditors are told.
	MoveNoted
	// MoveRefused: another network. The call is refused and the session stays.
	MoveRefused
	// MoveEnds: another network. The session ends.
	MoveEnds
)

// DecideMove decides about one use of a session. network is where it was made,
// the zero Prefix if it is not bound: sessions from before a policy binds them
// are left alone. An address that is not known is of no network.
func DecideMove(mode v1alpha1.BindingMode, network netip.Prefix, address netip.Addr) Move {
	if !network.IsValid() || network.Contains(address) {
		return MoveNone
	}
	switch mode {
	case v1alpha1.BindingAudit:
		return MoveNoted
	case v1alpha1.BindingReauthenticate:
		return MoveRefused
	case v1alpha1.BindingTerminate:
		return MoveEnds
	}
	return MoveNone
}

var (
	moved = Verdict{problem.NetworkChanged, "This login belongs to another network. Log in again from this one."}
	ended = Verdict{problem.SessionEnded, "The session was used from another network and has ended. Log in again."}
)

// BindingOptions make a Binding. All of them are required.
type BindingOptions struct {
	// Mode is the policy's current one.
	Mode func() v1alpha1.BindingMode
	// End ends a session that has moved.
	End func(context.Context, *session.Session) error
	// Audit is told of a session that is used from another network: once for each
	// session and network, as far as is remembered.
	Audit func(context.Context, Move)
}

// Binding holds sessions to the client network they were made from. It is safe
// for concurrent use.
type Binding struct {
	BindingOptions
	told told
}

// NewBinding makes a Binding.
func NewBinding(o BindingOptions) *Binding { return &Binding{BindingOptions: o} }

// Passes says whether Check would let a use of a session pass and do nothing.
func (b *Binding) Passes(sess *session.Session, address netip.Addr) bool {
	return DecideMove(b.Mode(), sess.Network, address) == MoveNone
}

// Check decides about one use of a session and does what follows from it. An
// error is one of ending the session, which then must not be used either.
func (b *Binding) Check(ctx context.Context, sess *session.Session, address netip.Addr) (Verdict, error) {
	move := DecideMove(b.Mode(), sess.Network, address)
	if move == MoveNone {
		return pass, nil
	}
	if b.told.first(use{sess.ID, networkLike(sess.Network, address)}) {
		b.Audit(ctx, move)
	}
	switch move {
	case MoveNoted:
		return pass, nil
	case MoveEnds:
		return ended, b.End(ctx, sess)
	}
	return moved, nil
}

// networkLike is the network of an address, as large as another one where both
// are of one family.
func networkLike(like netip.Prefix, address netip.Addr) netip.Prefix {
	bits := like.Bits()
	if like.Addr().Is4() != address.Is4() {
		bits = address.BitLen() / 2
	}
	network, _ := address.Prefix(bits) // the zero Prefix for an address that is not known
	return network
}

// use is a session on a network.
type use struct {
	session string // its public handle
	network netip.Prefix
}

// maxTold bounds how many uses are remembered, twice.
const maxTold = 4096

// told remembers what was told. When it is full it forgets the older half.
type told struct {
	mu         sync.Mutex
	young, old map[use]struct{}
}

// first says whether this use is told of for the first time.
func (t *told) first(u use) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.young[u]; known {
		return false
	}
	if _, known := t.old[u]; known {
		return false
	}
	if t.young == nil || len(t.young) >= maxTold {
		t.old, t.young = t.young, make(map[use]struct{})
	}
	t.young[u] = struct{}{}
	return true
}
