package rs

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
)

// WebSocketEcho accepts a handshake (RFC 6455 section 4.2.2) and sends back every
// byte that follows. What is in between only carries bytes, so frames need not be
// understood.
func WebSocketEcho(r *Request) Reply {
	return Reply{Raw: func(conn net.Conn, in *bufio.Reader) {
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			AcceptKey(r.Header.Get("Sec-WebSocket-Key")))
		_, _ = io.Copy(conn, in) // until either side goes
	}}
}

// AcceptKey is the Sec-WebSocket-Accept of a key.
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
