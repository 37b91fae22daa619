package server

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/client"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/telemetry"
)

// newBinding holds the sessions of a store to their network.
func (s *Server) newBinding(snapshot *config.Snapshot, of sessions) *gate.Binding {
	return gate.NewBinding(gate.BindingOptions{
		Mode: func() v1alpha1.BindingMode { return s.inForce(snapshot).Policy.Spec.Session.Binding.Mode },
		End: func(ctx context.Context, sess *session.Session) error {
			if err := of.End(ctx, sess, session.EndNetwork); err != nil {
				return err
			}
			s.discard(sess.Issuer)(ctx, sess.Tokens)
			return nil
		},
		Audit: func(ctx context.Context, move gate.Move) {
			s.audit.Write(ctx, telemetry.EventSessionMoved, moveNames[move])
		},
	})
}

// moveNames say what came of a session that was used from another network.
var moveNames = map[gate.Move]string{gate.MoveNoted: "allowed", gate.MoveRefused: "refused", gate.MoveEnds: "ended"}

// networkOf is the network that a login from a request is bound to; the zero
// Prefix if the policy binds none.
func networkOf(snapshot *config.Snapshot) func(*http.Request) netip.Prefix {
	binding := snapshot.Policy.Spec.Session.Binding
	return func(r *http.Request) netip.Prefix {
		if binding.Mode == v1alpha1.BindingDisabled {
			return netip.Prefix{}
		}
		address, _ := addressOf(snapshot, r)
		return client.Network(address, int(binding.IPv4PrefixLength), int(binding.IPv6PrefixLength))
	}
}

func addressOf(snapshot *config.Snapshot, r *http.Request) (netip.Addr, bool) {
	return client.Address(r.RemoteAddr, r.Header["X-Forwarded-For"], snapshot.TrustedProxies)
}
