package dpop

import (
	"container/list"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

const (
	// maxServers bounds how many servers' nonces are kept.
	maxServers = 256
	// maxNonceBytes bounds a nonce, which goes into a request header.
	maxNonceBytes = 1024
)

// Nonces are the latest nonces of servers, each by its origin: a nonce is for
// the server that gave it and no other (RFC 9449 section 9). They are bounded,
// and the one that was used longest ago goes first. The zero value is empty and
// ready to use. It may be used by several goroutines at once, and must not be
// copied.
type Nonces struct {
	mu      sync.Mutex
	entries map[string]*list.Element
	recent  list.List // of *nonce, the latest used first
}

type nonce struct{ origin, value string }

// Of is the nonce for a request to u, or "" if its server has given none.
func (n *Nonces) Of(u *url.URL) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	entry, ok := n.entries[origin(u)]
	if !ok {
		return ""
	}
	n.recent.MoveToFront(entry)
	return entry.Value.(*nonce).value
}

// Note keeps the nonce of an answer from u, whatever its status, instead of the
// one before (RFC 9449 section 8.2). An answer without one changes nothing, and
// neither does one whose nonce is malformed, too long or not alone.
func (n *Nonces) Note(u *url.URL, h http.Header) {
	value, ok := given(h)
	if !ok {
		return
	}
	key := origin(u)
	n.mu.Lock()
	defer n.mu.Unlock()
	if entry, ok := n.entries[key]; ok {
		entry.Value.(*nonce).value = value
		n.recent.MoveToFront(entry)
		return
	}
	if n.entries == nil {
		n.entries = make(map[string]*list.Element)
	}
	if len(n.entries) >= maxServers {
		oldest := n.recent.Back()
		n.recent.Remove(oldest)
		delete(n.entries, oldest.Value.(*nonce).origin)
	}
	n.entries[key] = n.recent.PushFront(&nonce{key, value})
}

// given is the nonce of an answer.
func given(h http.Header) (string, bool) {
	values := h.Values("DPoP-Nonce")
	if len(values) != 1 || !isNonce(values[0]) {
		return "", false
	}
	return values[0], true
}

// isNonce checks the syntax (RFC 9449 section 8.1: NQCHAR of RFC 6749 appendix
// A).
func isNonce(value string) bool {
	if value == "" || len(value) > maxNonceBytes {
		return false
	}
	for i := range len(value) {
		if c := value[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// origin is scheme, host and port in one spelling (RFC 6454 section 4).
func origin(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[scheme]
	}
	return scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
