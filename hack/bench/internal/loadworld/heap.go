package loadworld

import (
	"context"
	"errors"
	"time"
)

// Heap is what a sidecar's memory holds, in bytes.
type Heap struct {
	// Live is what is reachable: the least that was allocated over whole cycles of
	// the collector, nothing else being done.
	Live float64
	// InUse are spans that hold anything at all, when Live was seen.
	InUse float64
	// Goroutines are those that ran then.
	Goroutines float64
	Memory
}

const (
	// emptied is how many cycles of the collector Heap lets pass first: what a
	// sync.Pool holds outlives one, and is gone after the next.
	emptied = 2
	// collections is how many cycles Heap looks at then. A scrape sees what was
	// allocated since the last one ended too, its own included; the least of all is
	// near to nothing.
	collections = 8
)

// heapTime bounds the wait for them. The runtime collects every two minutes,
// whatever happens.
const heapTime = 150 * time.Second

// Heap waits until the collector has run, driven by scrapes, which allocate. The
// sidecar should have nothing else to do meanwhile.
func (s *Sidecar) Heap(ctx context.Context) (Heap, error) {
	var h Heap
	last, cycles := 0.0, -1 // the first time that is seen is none that was waited for
	for deadline := time.Now().Add(heapTime); cycles < emptied+collections; {
		m, err := s.Metrics(ctx)
		if err != nil {
			return Heap{}, err
		}
		if at := m.Sum("go_memstats_last_gc_time_seconds"); at != last || cycles < 0 {
			last = at
			cycles++
		}
		live := m.Sum("go_memstats_heap_alloc_bytes")
		if cycles >= emptied && (h.Live == 0 || live < h.Live) {
			h.Live, h.InUse, h.Goroutines = live, m.Sum("go_memstats_heap_inuse_bytes"), m.Sum("go_goroutines")
		}
		if time.Now().After(deadline) {
			return Heap{}, errors.New("look at the heap: the collector does not run")
		}
	}
	var err error
	h.Memory, err = MemoryOf(s.PID())
	return h, err
}
