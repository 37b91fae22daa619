package loadscale_test

import (
	"math"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadscale"
)

// round are numbers that can be checked by hand.
func round() (loadscale.Measured, loadscale.Behaviour) {
	one := loadscale.Operation{Calls: 1, RedisMicros: 10, SidecarMicros: 100}
	changes := one
	changes.Messages = 1
	return loadscale.Measured{SessionBytes: 8 << 10, Login: changes, Load: one, Touch: one, Refresh: changes, Logout: changes, MessageBytes: 100, MessageRedisMicros: 2, MessageSidecarMicros: 20, Broadcast: true},
		loadscale.Behaviour{Sessions: 1e6, ActiveShare: 0.1, IdleTimeout: 1000 * time.Second, TouchShare: 0.1,
			TokenLife: 100 * time.Second, SessionLife: 10_000 * time.Second, LoggedOut: 0.5, Spread: 2, Sidecars: 500}
}

func TestExtrapolate(t *testing.T) {
	t.Parallel()
	m, b := round()
	got := loadscale.Extrapolate(m, b)
	want := loadscale.Estimate{
		SessionsPerGiB: 131072,
		RedisGiB:       8192e6 / (1 << 30),
		Rates: loadscale.Rates{
			Logins:    100,  // a million in 10,000 s
			Touches:   2000, // 100,000 at two replicas in 100 s
			Refreshes: 1000, // 100,000 in 100 s
			Logouts:   50,
			Loads:     2200, // each login and refresh, at two replicas
		},
		StoreCalls: 5350, RedisCores: 0.0535, SidecarCores: 0.535,
		Messages: 1150, MessageBytes: 115_000, AllMessages: 575_000, AllMessageBytes: 57_500_000,
		MessageRedisCores: 1.15, MessageSidecarCores: 0.023,
	}
	close := func(name string, got, want float64) {
		if math.Abs(got-want) > 1e-9*math.Abs(want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	close("sessions per GiB", got.SessionsPerGiB, want.SessionsPerGiB)
	close("GiB", got.RedisGiB, want.RedisGiB)
	close("logins", got.Rates.Logins, want.Rates.Logins)
	close("touches", got.Rates.Touches, want.Rates.Touches)
	close("refreshes", got.Rates.Refreshes, want.Rates.Refreshes)
	close("logouts", got.Rates.Logouts, want.Rates.Logouts)
	close("loads", got.Rates.Loads, want.Rates.Loads)
	close("store calls", got.StoreCalls, want.StoreCalls)
	close("Redis cores", got.RedisCores, want.RedisCores)
	close("sidecar cores", got.SidecarCores, want.SidecarCores)
	close("messages", got.Messages, want.Messages)
	close("message bytes", got.MessageBytes, want.MessageBytes)
	close("all messages", got.AllMessages, want.AllMessages)
	close("all message bytes", got.AllMessageBytes, want.AllMessageBytes)
	close("Redis cores of messages", got.MessageRedisCores, want.MessageRedisCores)
	close("sidecar cores of messages", got.MessageSidecarCores, want.MessageSidecarCores)
}

func TestWhoIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change          func(*loadscale.Measured, *loadscale.Behaviour)
		all, perSidecar float64
	}{
		"all of them":              {func(*loadscale.Measured, *loadscale.Behaviour) {}, 575_000, 1150},
		"those that have it":       {func(m *loadscale.Measured, _ *loadscale.Behaviour) { m.Broadcast = false }, 2300, 4.6},
		"no more than there are":   {func(m *loadscale.Measured, b *loadscale.Behaviour) { m.Broadcast, b.Sidecars = false, 1 }, 1150, 1150},
		"one, told of everything":  {func(_ *loadscale.Measured, b *loadscale.Behaviour) { b.Sidecars = 1 }, 1150, 1150},
		"nobody, if nothing moves": {func(_ *loadscale.Measured, b *loadscale.Behaviour) { b.Sessions = 0 }, 0, 0},
	} {
		m, b := round()
		c.change(&m, &b)
		got := loadscale.Extrapolate(m, b)
		if math.Abs(got.AllMessages-c.all) > 1e-6 || math.Abs(got.Messages-c.perSidecar) > 1e-6 {
			t.Errorf("%s: %v and %v, want %v and %v", name, got.AllMessages, got.Messages, c.all, c.perSidecar)
		}
	}
}

func TestWhatWasNotMeasuredIsNotMadeUp(t *testing.T) {
	t.Parallel()
	m, b := round()
	m.Refresh.RedisMicros = math.NaN()
	got := loadscale.Extrapolate(m, b)
	if !math.IsNaN(got.RedisCores) || math.IsNaN(got.StoreCalls) || math.IsNaN(got.SidecarCores) {
		t.Errorf("%+v", got)
	}
}
