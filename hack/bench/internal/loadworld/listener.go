package loadworld

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
)

// Invalidations are what a client is told that follows all sessions of a policy.
type Invalidations struct {
	// Keys that have changed, and bytes on the wire to say so.
	Keys, Bytes float64
}

// Listener is such a client (CLIENT TRACKING ON BCAST). What it is told is what
// every sidecar is told that asks in the same way.
type Listener struct {
	conn        net.Conn
	reader      *bufio.Reader
	keys, bytes atomic.Int64
	ended       chan struct{}
}

// Listen follows the keys that begin with a prefix, on a connection of its own.
func (r *Redis) Listen(ctx context.Context, prefix string) (*Listener, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", r.Address)
	if err != nil {
		return nil, fmt.Errorf("listen for invalidations: %w", err)
	}
	l := &Listener{conn: conn, ended: make(chan struct{})}
	l.reader = bufio.NewReader(io.TeeReader(conn, counter{&l.bytes}))
	fmt.Fprintf(conn, "HELLO 3\r\nCLIENT TRACKING ON BCAST PREFIX %s\r\n", prefix)
	for range 2 {
		if _, err := readValue(l.reader); err != nil {
			conn.Close()
			return nil, fmt.Errorf("listen for invalidations: %w", err)
		}
	}
	l.bytes.Store(int64(l.reader.Buffered()))
	go l.listen()
	return l, nil
}

// Heard is what was heard so far.
func (l *Listener) Heard() Invalidations {
	return Invalidations{Keys: float64(l.keys.Load()), Bytes: float64(l.bytes.Load())}
}

// Close ends it.
func (l *Listener) Close() {
	_ = l.conn.Close() // nothing is to be saved
	<-l.ended
}

func (l *Listener) listen() {
	defer close(l.ended)
	for {
		words, err := readValue(l.reader)
		if err != nil {
			return // closed
		}
		if len(words) > 1 && words[0] == "invalidate" {
			l.keys.Add(int64(len(words) - 1))
		}
	}
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// maxWords bounds what is read as one value.
const maxWords = 1 << 20

// readValue reads one value of RESP3 and returns the strings in it, however they
// are nested.
func readValue(r *bufio.Reader) ([]string, error) {
	var words []string
	for left := 1; left > 0; left-- {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimSuffix(line, "\r\n")
		if line == "" {
			return nil, errors.New("read RESP: an empty line")
		}
		switch line[0] {
		case '-', '!':
			return nil, fmt.Errorf("redis-server says %q", line[1:])
		case '+', ':', '_', '#', ',', '(':
			words = append(words, line[1:])
			continue
		}
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 || n > maxWords {
			return nil, fmt.Errorf("read RESP: %q has no length", line)
		}
		switch line[0] {
		case '$', '=':
			text := make([]byte, n+2)
			if _, err := io.ReadFull(r, text); err != nil {
				return nil, err
			}
			words = append(words, string(text[:n]))
		case '*', '>', '~':
			left += n
		case '%':
			left += 2 * n
		default:
			return nil, fmt.Errorf("read RESP: %q is of no known type", line)
		}
		if left > maxWords {
			return nil, errors.New("read RESP: too many words")
		}
	}
	return words, nil
}

// Broadcasts says whether any client but the listeners of this process follows
// keys by their prefix. The others follow those that they have asked for.
func (r *Redis) Broadcasts(ctx context.Context, listeners int) (bool, error) {
	text, err := r.client.Do(ctx, r.client.B().ClientList().Build()).ToString()
	if err != nil {
		return false, fmt.Errorf("list the clients of redis-server: %w", err)
	}
	return broadcasting(text) > listeners, nil
}

// broadcasting counts the clients with the flag for tracking by prefix.
func broadcasting(list string) int {
	n := 0
	for field := range strings.FieldsSeq(list) {
		if flags, ok := strings.CutPrefix(field, "flags="); ok && strings.Contains(flags, "B") {
			n++
		}
	}
	return n
}
