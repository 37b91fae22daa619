package process

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
)

// next is the next port to try, below those that connections are made from.
var next atomic.Uint32

func init() { next.Store(rand.Uint32N(20_000)) }

// FreeAddress is host:port of loopback where nobody listens, and that this
// process has given to nobody else.
func FreeAddress() (string, error) {
	for range 100 {
		port := 10_000 + int(next.Add(1)%20_000)
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		address := listener.Addr().String()
		return address, listener.Close()
	}
	return "", errors.New("no port is free")
}
