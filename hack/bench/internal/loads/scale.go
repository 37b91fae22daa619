package loads

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadreport"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadscale"
)

// million is what is assumed of users: a tenth of a million sessions is in use.
var million = loadscale.Behaviour{
	Sessions: 1e6, ActiveShare: 0.1, IdleTimeout: 30 * time.Minute, TouchShare: 0.1, TokenLife: 5 * time.Minute,
	SessionLife: 4 * time.Hour, LoggedOut: 0.3, Spread: 3, Sidecars: 3,
}

func (b *bench) scale(ctx context.Context, step *loadreport.Step) error {
	logins, ok := b.done["logins"]
	if !ok || logins.Error != "" {
		step.Notes = append(step.Notes, "The step logins was not finished in this run: there is nothing to compute with.")
		return nil
	}
	if err := b.fanOut(ctx, step); err != nil {
		return err
	}
	figures := maps.Clone(logins.Figures)
	maps.Copy(figures, step.Figures)
	measured := measuredOf(figures)
	step.Tables = append(step.Tables, sizes(figures), atMillion(measured, step), told(measured, step))
	m := million
	step.Notes = append(step.Notes, fmt.Sprintf(
		"Assumed: %.0f %% of the sessions are in use steadily, each at %.0f replicas; idle timeout %s, a use is written once in a tenth of it at each replica; access tokens live %s; sessions %s; %.0f %% end by a logout. What forwarding costs is not in it.",
		100*m.ActiveShare, m.Spread, m.IdleTimeout, m.TokenLife, m.SessionLife, 100*m.LoggedOut))
	return nil
}

// measuredOf takes what it needs from figures; what is not there is NaN.
func measuredOf(figures map[string]float64) loadscale.Measured {
	get := func(name string) float64 {
		if value, ok := figures[name]; ok {
			return value
		}
		return math.NaN()
	}
	operation := func(name string) loadscale.Operation {
		return loadscale.Operation{Calls: get(name + "_store_calls"), RedisMicros: get(name + "_redis_us"), SidecarMicros: get(name + "_sidecar_us"), Messages: get(name + "_invalidations")}
	}
	// A touch and a first use are measured as calls that do that besides.
	beside := func(name string) loadscale.Operation {
		o, call := operation(name), operation("call")
		o.Calls, o.RedisMicros, o.SidecarMicros = max(0, o.Calls-call.Calls), max(0, o.RedisMicros-call.RedisMicros), max(0, o.SidecarMicros-call.SidecarMicros)
		o.Messages = max(0, o.Messages-call.Messages)
		return o
	}
	return loadscale.Measured{
		SessionBytes: get("redis_bytes_per_session_1kib"), Broadcast: get("broadcast") == 1,
		MessageBytes: get("invalidation_bytes"), MessageRedisMicros: get("message_redis_us"), MessageSidecarMicros: get("message_sidecar_us"),
		Login: operation("login"), Load: beside("first_use"), Touch: beside("touch"), Refresh: beside("refresh"), Logout: operation("logout"),
	}
}

// sizes are sessions per GiB.
func sizes(figures map[string]float64) loadreport.Table {
	t := loadreport.Table{Title: "Sessions per GiB of Redis", Head: []string{"access token", "bytes per session", "sessions per GiB", "GiB for a million"}}
	for _, size := range []string{"1", "4"} {
		e := loadscale.Extrapolate(loadscale.Measured{SessionBytes: figures["redis_bytes_per_session_"+size+"kib"]}, million)
		t.Add(size+" KiB", loadreport.Number(figures["redis_bytes_per_session_"+size+"kib"]), loadreport.Number(e.SessionsPerGiB), loadreport.Number(e.RedisGiB))
	}
	return t
}

// atMillion is what a million sessions ask for, whatever the number of sidecars.
func atMillion(measured loadscale.Measured, step *loadreport.Step) loadreport.Table {
	t := loadreport.Table{Title: "A million sessions, without invalidations", Head: []string{"what", "how much"}}
	e := loadscale.Extrapolate(measured, million)
	for _, row := range []struct {
		what  string
		value float64
	}{
		{"logins per second", e.Rates.Logins}, {"logouts per second", e.Rates.Logouts}, {"refreshes per second", e.Rates.Refreshes},
		{"touches per second", e.Rates.Touches}, {"loads per second", e.Rates.Loads}, {"calls of the store per second", e.StoreCalls},
		{"cores of Redis", e.RedisCores}, {"cores of all sidecars", e.SidecarCores},
	} {
		t.Add(row.what, loadreport.Number(row.value))
		step.Set("million_"+strings.ReplaceAll(row.what, " ", "_"), row.value)
	}
	return t
}

// told is what invalidations cost, at few sidecars and at 500.
func told(measured loadscale.Measured, step *loadreport.Step) loadreport.Table {
	t := loadreport.Table{Title: "A million sessions: invalidations", Head: []string{"sidecars of one policy", "changes are told", "messages/s to each", "KiB/s to each",
		"cores of each", "messages/s from Redis", "MiB/s from Redis", "cores of Redis"}}
	n := loadreport.Number
	for _, sidecars := range []float64{3, 50, 500} {
		for _, broadcast := range []bool{true, false} {
			behaviour, m := million, measured
			behaviour.Sidecars, m.Broadcast = sidecars, broadcast
			e := loadscale.Extrapolate(m, behaviour)
			way, name := "to those that have the session", "holders"
			if broadcast {
				way, name = "to all", "all"
			}
			if broadcast == measured.Broadcast {
				way += " (as it is)"
			}
			t.Add(n(sidecars), way, n(e.Messages), n(e.MessageBytes/1024), n(e.MessageSidecarCores), n(e.AllMessages), n(e.AllMessageBytes/mebi), n(e.MessageRedisCores))
			name = fmt.Sprintf("sidecars_%.0f_told_%s_", sidecars, name)
			step.Set(name+"messages_per_second_each", e.Messages)
			step.Set(name+"bytes_per_second_from_redis", e.AllMessageBytes)
			step.Set(name+"redis_cores", e.MessageRedisCores)
		}
	}
	return t
}
