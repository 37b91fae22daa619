package loads

import (
	"math"
	"testing"
)

func TestMeasuredOf(t *testing.T) {
	t.Parallel()
	m := measuredOf(map[string]float64{
		"redis_bytes_per_session_1kib": 6000, "invalidation_bytes": 100, "broadcast": 1,
		"login_store_calls": 1, "login_redis_us": 70, "login_sidecar_us": 600, "login_invalidations": 1,
		"call_store_calls": 0, "call_redis_us": 1, "call_sidecar_us": 100, "call_invalidations": 0,
		"touch_store_calls": 1, "touch_redis_us": 21, "touch_sidecar_us": 180, "touch_invalidations": 0,
		"first_use_store_calls": 1, "first_use_redis_us": 0.5, "first_use_sidecar_us": 90, "first_use_invalidations": 0,
	})
	if !m.Broadcast || m.SessionBytes != 6000 || m.Login.RedisMicros != 70 {
		t.Errorf("as measured: %+v", m)
	}
	if m.Touch.Calls != 1 || m.Touch.RedisMicros != 20 || m.Touch.SidecarMicros != 80 {
		t.Errorf("a touch without its call: %+v", m.Touch)
	}
	if m.Load.RedisMicros != 0 || m.Load.SidecarMicros != 0 {
		t.Errorf("noise is no gain: %+v", m.Load)
	}
	if !math.IsNaN(m.Refresh.Calls) || !math.IsNaN(m.MessageRedisMicros) {
		t.Errorf("not measured, and there all the same: %+v", m)
	}
}
