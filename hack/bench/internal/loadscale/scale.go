// Package loadscale computes what many sessions cost from what few were
// measured to cost. It is arithmetic only: what it assumes is in its types.
package loadscale

import (
	"math"
	"time"
)

// Behaviour is what users do.
type Behaviour struct {
	// Sessions are alive at once.
	Sessions float64
	// ActiveShare of them are used at any time, steadily.
	ActiveShare float64
	// IdleTimeout is that of the policy. A use is written once in TouchShare of it.
	IdleTimeout time.Duration
	TouchShare  float64
	// TokenLife is that of access tokens. An active session renews its own once in
	// it.
	TokenLife time.Duration
	// SessionLife is how long a session lives on average. As many begin as end.
	SessionLife time.Duration
	// LoggedOut is the share of sessions that end by a logout. The others run out.
	LoggedOut float64
	// Spread is how many replicas an active session is used at. Each has to load a
	// session that has changed, and writes uses by itself.
	Spread float64
	// Sidecars share the store and one policy.
	Sidecars float64
}

// Operation is what one thing costs, all of it together.
type Operation struct {
	// Calls of the store by the sidecar.
	Calls float64
	// RedisMicros is processor time of Redis, SidecarMicros of the sidecars.
	RedisMicros, SidecarMicros float64
	// Messages are invalidations of one sidecar's cache that it causes.
	Messages float64
}

// Measured is what was found.
type Measured struct {
	// SessionBytes is what a session takes in Redis.
	SessionBytes float64
	// Login, Load, Touch, Refresh and Logout are what these cost.
	Login, Load, Touch, Refresh, Logout Operation
	// Message is what telling one sidecar of one change costs: its length on the
	// wire, and processor time of Redis and of the sidecar.
	MessageBytes, MessageRedisMicros, MessageSidecarMicros float64
	// Broadcast says that every sidecar is told of every change. Otherwise those are
	// told that have the session.
	Broadcast bool
}

// Rates are per second.
type Rates struct {
	Logins, Loads, Touches, Refreshes, Logouts float64
}

// Estimate is what follows.
type Estimate struct {
	SessionsPerGiB float64
	RedisGiB       float64
	Rates          Rates
	// StoreCalls per second, all sidecars together.
	StoreCalls float64
	// RedisCores and SidecarCores are processors kept busy: without what messages
	// cost, the sidecars' also without what forwarding costs.
	RedisCores, SidecarCores float64
	// Messages and MessageBytes per second: what one sidecar is told, and what Redis
	// sends to all.
	Messages, MessageBytes       float64
	AllMessages, AllMessageBytes float64
	// MessageRedisCores are processors of Redis kept busy by messages, and
	// MessageSidecarCores those of one sidecar.
	MessageRedisCores, MessageSidecarCores float64
}

// Extrapolate does the sums. What was not measured (NaN) makes what needs it
// NaN too.
func Extrapolate(m Measured, b Behaviour) Estimate {
	active := b.Sessions * b.ActiveShare
	r := Rates{
		Logins:    b.Sessions / b.SessionLife.Seconds(),
		Touches:   active * b.Spread / (b.IdleTimeout.Seconds() * b.TouchShare),
		Refreshes: active / b.TokenLife.Seconds(),
	}
	r.Logouts = r.Logins * b.LoggedOut
	// A session is loaded where it is used, when it is new and when it has changed.
	r.Loads = (r.Logins + r.Refreshes) * b.Spread
	e := Estimate{
		SessionsPerGiB: gib / m.SessionBytes,
		RedisGiB:       b.Sessions * m.SessionBytes / gib,
		Rates:          r,
	}
	told := math.Min(b.Spread, b.Sidecars)
	if m.Broadcast {
		told = b.Sidecars
	}
	for _, part := range []struct {
		rate float64
		cost Operation
	}{{r.Logins, m.Login}, {r.Loads, m.Load}, {r.Touches, m.Touch}, {r.Refreshes, m.Refresh}, {r.Logouts, m.Logout}} {
		e.StoreCalls += part.rate * part.cost.Calls
		e.RedisCores += part.rate * part.cost.RedisMicros / 1e6
		e.SidecarCores += part.rate * part.cost.SidecarMicros / 1e6
		e.AllMessages += part.rate * part.cost.Messages * told
	}
	e.Messages = e.AllMessages / b.Sidecars
	e.MessageBytes, e.AllMessageBytes = e.Messages*m.MessageBytes, e.AllMessages*m.MessageBytes
	e.MessageRedisCores, e.MessageSidecarCores = e.AllMessages*m.MessageRedisMicros/1e6, e.Messages*m.MessageSidecarMicros/1e6
	return e
}

const gib = 1 << 30
