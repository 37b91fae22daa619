package as

import (
	"net/http"
	"sync"
	"time"
)

// fault is something that happens to one request.
type fault struct {
	status int         // answered instead of anything else, if not 0
	header http.Header // with that status
	drop   bool        // the request is served, and its answer never sent
	delay  time.Duration
}

// Fault has the next n requests to an endpoint answered with a status, and
// nothing done. Headers, if given, go along.
func (s *Server) Fault(at Endpoint, n, status int, header ...http.Header) {
	f := fault{status: status}
	if len(header) > 0 {
		f.header = header[0]
	}
	s.add(at, n, f)
}

// Drop has the next n requests to an endpoint done in full, and the connection
// closed in place of an answer.
func (s *Server) Drop(at Endpoint, n int) { s.add(at, n, fault{drop: true}) }

// Delay has the next n requests to an endpoint wait before anything is done.
func (s *Server) Delay(at Endpoint, n int, d time.Duration) { s.add(at, n, fault{delay: d}) }

func (s *Server) add(at Endpoint, n int, f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.faults[at] = append(s.faults[at], f)
	}
}

// Heal takes back all faults that have not happened yet.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.faults)
}

func (s *Server) nextFault(at Endpoint) fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults[at]) == 0 {
		return fault{}
	}
	f := s.faults[at][0]
	s.faults[at] = s.faults[at][1:]
	return f
}

// hold keeps requests waiting.
type hold struct {
	arrived chan struct{}
	release chan struct{}
	once    sync.Once
}

// Hold keeps every request to an endpoint waiting, after it was recorded and
// before anything is done, until release is called. arrived gets one element for
// each.
func (s *Server) Hold(at Endpoint) (arrived <-chan struct{}, release func()) {
	h := &hold{arrived: make(chan struct{}, 1000), release: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds[at] = h
	return h.arrived, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.holds[at] == h {
			delete(s.holds, at)
		}
		h.once.Do(func() { close(h.release) })
	}
}

func (s *Server) wait(at Endpoint, r *http.Request) {
	s.mu.Lock()
	h := s.holds[at]
	s.mu.Unlock()
	if h == nil {
		return
	}
	h.arrived <- struct{}{}
	select {
	case <-h.release:
	case <-r.Context().Done():
	}
}

func (s *Server) releaseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, h := range s.holds {
		h.once.Do(func() { close(h.release) })
		delete(s.holds, at)
	}
}
