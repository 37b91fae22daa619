package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// atOnce is how many of a user's sessions are looked at or ended at once.
const atOnce = 8

// indexes are the names a session can be found by without its cookie.
func (k keys) indexes(sess *Session) []string {
	names := []string{k.named(kindUser, sess.Issuer, sess.Subject)}
	if sess.ProviderSID != "" {
		names = append(names, k.named(kindProvider, sess.Issuer, sess.ProviderSID))
	}
	return names
}

// EndBySID ends the sessions of one session at the provider, usually one, and
// returns how many there were (OpenID Connect Back-Channel Logout section 2.7).
// None is no error. After ErrUnavailable or ErrUnreadable some of them may still
// be there: it has to be repeated.
func (s *Sessions) EndBySID(ctx context.Context, issuer, sid string, why EndReason) (int, error) {
	if sid == "" {
		return 0, nil
	}
	n, err := s.endAll(ctx, s.keys.named(kindProvider, issuer, sid), why, func(m Metadata) bool {
		return m.Issuer == issuer && m.ProviderSID == sid
	})
	if err != nil {
		return n, fmt.Errorf("end sessions by sid: %w", err)
	}
	return n, nil
}

// EndBySubject ends all sessions of a user. Otherwise it is EndBySID.
func (s *Sessions) EndBySubject(ctx context.Context, issuer, subject string, why EndReason) (int, error) {
	n, err := s.endAll(ctx, s.keys.named(kindUser, issuer, subject), why, func(m Metadata) bool {
		return m.Issuer == issuer && m.Subject == subject
	})
	if err != nil {
		return n, fmt.Errorf("end sessions by subject: %w", err)
	}
	return n, nil
}

func (s *Sessions) endAll(ctx context.Context, index string, why EndReason, belongs func(Metadata) bool) (int, error) {
	members, unreadable, err := s.members(ctx, index, belongs)
	if err != nil {
		return 0, err
	}
	n, err := s.endEach(ctx, members, why)
	return n, errors.Join(err, unreadable)
}

// evict ends the user's oldest sessions until most are left. Of logins at the
// same moment every replica takes the same ones, sess perhaps among them.
func (s *Sessions) evict(ctx context.Context, sess *Session, most int) error {
	index := s.keys.named(kindUser, sess.Issuer, sess.Subject)
	members, _, err := s.members(ctx, index, func(m Metadata) bool { return m.Issuer == sess.Issuer && m.Subject == sess.Subject })
	if err != nil {
		return err
	}
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(a.createdAt.Compare(b.createdAt), strings.Compare(a.key, b.key))
	})
	_, err = s.endEach(ctx, members[:max(0, len(members)-most)], EndLimit)
	return err
}

// member is a session that an index has.
type member struct {
	key       string
	createdAt time.Time
}

// members are an index's sessions that are there and belong to it. What the
// index says is not believed: it outlives its sessions, and names are no proof.
// The metadata, which only the key ring can have sealed, is. unreadable is
// ErrUnreadable if some of them cannot be opened.
func (s *Sessions) members(ctx context.Context, index string, belongs func(Metadata) bool) (members []member, unreadable, err error) {
	listed, err := s.store.Indexed(ctx, index)
	if err := s.heard(ctx, err); err != nil {
		if errors.Is(err, ErrNone) {
			return nil, nil, nil
		}
		return nil, nil, err
	}
	found, failures := make([]member, len(listed)), make([]error, len(listed))
	each(len(listed), func(i int) {
		if _, ours := s.keys.session(listed[i]); !ours {
			failures[i] = ErrNone
			return
		}
		entry, err := s.store.Load(ctx, listed[i])
		if failures[i] = s.heard(ctx, err); failures[i] != nil {
			return
		}
		m, err := OpenMetadata(s.ring(), listed[i], entry.Metadata)
		if err == nil && !belongs(m) {
			err = ErrNone
		}
		found[i], failures[i] = member{listed[i], m.CreatedAt}, err
	})
	for i, failure := range failures {
		switch {
		case failure == nil:
			members = append(members, found[i])
		case errors.Is(failure, ErrUnreadable):
			unreadable = failure
		case !errors.Is(failure, ErrNone):
			return nil, nil, failure
		}
	}
	return members, unreadable, nil
}

// endEach ends sessions and returns how many it has ended.
func (s *Sessions) endEach(ctx context.Context, members []member, why EndReason) (int, error) {
	var ended atomic.Int64
	failures := make([]error, len(members))
	each(len(members), func(i int) {
		name, _ := s.keys.session(members[i].key)
		if failures[i] = s.remove(ctx, name, members[i].key, why, token.Set{}); failures[i] == nil {
			ended.Add(1)
		}
	})
	return int(ended.Load()), errors.Join(failures...)
}

// each calls do for 0 to n-1, some at once.
func each(n int, do func(i int)) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range min(n, atOnce) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	group.Wait()
}
