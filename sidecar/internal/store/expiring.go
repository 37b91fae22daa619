package store

import "time"

// expiring holds values for a while, a bounded number of them. Those that are
// over go as others come.
type expiring struct {
	max    int
	values map[string]expiringValue
}

type expiringValue struct {
	value []byte
	ends  time.Time
}

func (e *expiring) get(key string, now time.Time) ([]byte, bool) {
	v, ok := e.values[key]
	if ok && !now.Before(v.ends) {
		delete(e.values, key)
		return nil, false
	}
	return v.value, ok
}

// put says false when there is no room.
func (e *expiring) put(key string, value []byte, now, ends time.Time) bool {
	e.sweep(now, sweepAtInsert)
	if len(e.values) >= e.max {
		e.sweep(now, len(e.values))
	}
	if _, there := e.values[key]; !there && len(e.values) >= e.max {
		return false
	}
	if e.values == nil {
		e.values = make(map[string]expiringValue)
	}
	e.values[key] = expiringValue{value, ends}
	return true
}

func (e *expiring) drop(key string) { delete(e.values, key) }

// sweep looks at n values, whichever the map yields first (its order is random),
// and drops those that are over.
func (e *expiring) sweep(now time.Time, n int) {
	for key, v := range e.values {
		if n--; n < 0 {
			return
		}
		if !now.Before(v.ends) {
			delete(e.values, key)
		}
	}
}
