package window

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// stuck bounds one call, so that a subject that hangs ends the run.
const stuck = 10 * time.Second

// Conn sends one request again and again over one connection.
type Conn struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
}

// Dial connects.
func Dial(ctx context.Context, request Request) (*Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", request.Address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &Conn{conn: conn, reader: bufio.NewReader(conn), request: request.Bytes()}, nil
}

// Close closes the connection.
func (c *Conn) Close() { _ = c.conn.Close() } // nothing is to be saved

var errClosed = errors.New("the connection was closed")

// Call sends the request, reads the whole answer and returns its status. After
// an error the connection cannot be used again.
func (c *Conn) Call() (int, error) {
	if err := c.conn.SetDeadline(time.Now().Add(stuck)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, err
	}
	if response.Close {
		return 0, errClosed
	}
	return response.StatusCode, nil
}
