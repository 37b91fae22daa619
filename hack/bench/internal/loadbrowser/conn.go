// Package loadbrowser plays browsers that cost little: requests are written as
// bytes over connections of their own.
package loadbrowser

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

// callTime bounds one request, from its first byte to the end of the answer.
const callTime = 30 * time.Second

// Conn is a connection to one address that is made when it is needed and kept
// alive. It is for one goroutine at a time.
type Conn struct {
	// Address is host:port.
	Address string
	// From is the address to call from; loopback's own if it is nil.
	From net.IP

	conn   net.Conn
	reader *bufio.Reader
}

// Answer is an answer that was read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Close ends the connection. The next request makes another one.
func (c *Conn) Close() {
	if c.conn != nil {
		_ = c.conn.Close() // nothing is to be saved
		c.conn = nil
	}
}

// Do sends a request and reads its answer. It is repeated on no failure.
func (c *Conn) Do(ctx context.Context, r Request) (Answer, error) {
	a, err := c.do(ctx, r)
	if err != nil {
		c.Close()
		return Answer{}, fmt.Errorf("%s %s: %w", r.Method, r.path(), err)
	}
	return a, nil
}

func (c *Conn) do(ctx context.Context, r Request) (Answer, error) {
	if err := c.dial(ctx); err != nil {
		return Answer{}, err
	}
	deadline := time.Now().Add(callTime)
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	if err := c.conn.SetDeadline(deadline); err != nil {
		return Answer{}, err
	}
	if _, err := c.conn.Write(r.bytes()); err != nil {
		return Answer{}, err
	}
	response, err := http.ReadResponse(c.reader, &http.Request{Method: r.Method})
	if err != nil {
		return Answer{}, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return Answer{}, err
	}
	if response.Close {
		c.Close()
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

func (c *Conn) dial(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if c.From != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: c.From}
	}
	conn, err := dialer.DialContext(ctx, "tcp", c.Address)
	if err != nil {
		return err
	}
	c.conn, c.reader = conn, bufio.NewReaderSize(conn, 4<<10)
	return nil
}

// Download sends a request and throws the body of its answer away. It returns
// how many bytes there were.
func (c *Conn) Download(ctx context.Context, r Request, timeout time.Duration) (int64, error) {
	defer c.Close()
	if err := c.dial(ctx); err != nil {
		return 0, err
	}
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := c.conn.Write(r.bytes()); err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(c.reader, &http.Request{Method: r.Method})
	if err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s %s: status %d", r.Method, r.path(), response.StatusCode)
	}
	return io.CopyBuffer(struct{ io.Writer }{io.Discard}, response.Body, make([]byte, 128<<10))
}

// Upload sends a request and a body of size bytes.
func (c *Conn) Upload(ctx context.Context, r Request, size int64, timeout time.Duration) (Answer, error) {
	defer c.Close()
	if err := c.dial(ctx); err != nil {
		return Answer{}, err
	}
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return Answer{}, err
	}
	defer context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })()
	r.Fields = append(r.Fields[:len(r.Fields):len(r.Fields)], fmt.Sprintf("Content-Length: %d", size), "Content-Type: application/octet-stream")
	if _, err := c.conn.Write(r.bytes()); err != nil {
		return Answer{}, err
	}
	block := make([]byte, 128<<10)
	for left := size; left > 0; {
		n, err := c.conn.Write(block[:min(left, int64(len(block)))])
		if err != nil {
			return Answer{}, errors.Join(fmt.Errorf("%d bytes were left to send", left), err)
		}
		left -= int64(n)
	}
	response, err := http.ReadResponse(c.reader, &http.Request{Method: r.Method})
	if err != nil {
		return Answer{}, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	return Answer{Status: response.StatusCode, Header: response.Header, Body: body}, err
}
