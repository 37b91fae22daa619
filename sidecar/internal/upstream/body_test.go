package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A body is dead once it is closed, whoever has its connection by then.
func TestLateCallsTouchNobodyElse(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	} {
		s, c := answers(t, answer), client(t)
		var old []*http.Response
		for range 3 * answersAtOnce {
			got, err := c.RoundTrip(get(t, s))
			if err != nil {
				t.Fatal(err)
			}
			var one [1]byte
			if _, err := io.ReadFull(got.Body, one[:]); err != nil {
				t.Fatal(err)
			}
			for _, answer := range old {
				body := answer.Body
				if answer.Header != nil || answer.Request != nil {
					t.Fatal("a closed answer refers to another")
				}
				body.Close()
				if n, err := body.Read(one[:]); n != 0 || err != http.ErrBodyReadAfterClose {
					t.Fatalf("a closed body gave %d bytes, %v", n, err)
				}
				if to, ok := body.(io.WriterTo); ok {
					if n, err := to.WriteTo(io.Discard); n != 0 || err != http.ErrBodyReadAfterClose {
						t.Fatalf("a closed body wrote %d bytes, %v", n, err)
					}
				}
			}
			rest, err := io.ReadAll(got.Body)
			if err != nil || string(rest) != "ello" {
				t.Fatalf("got %q, %v", rest, err)
			}
			got.Body.Close()
			old = append(old, got)
		}
		s.wantConnections(t, 1)
	}
}

// A stream is ended from outside by closing it.
func TestCloseWakesARead(t *testing.T) {
	for name, answer := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"end":    "HTTP/1.1 200 OK\r\n\r\nhello",
	} {
		t.Run(name, func(t *testing.T) {
			s, c := answers(t, answer), client(t)
			got, err := c.RoundTrip(get(t, s))
			if err != nil {
				t.Fatal(err)
			}
			read := make(chan error)
			go func() {
				_, err := io.ReadAll(got.Body)
				read <- err
			}()
			time.AfterFunc(time.Millisecond, func() { got.Body.Close() }) // before or in a read
			if err := <-read; err != http.ErrBodyReadAfterClose {
				t.Error(err)
			}
			if idle(c) != 0 {
				t.Error("the connection was kept")
			}
		})
	}
}

// The little that is left of a body is read, for the connection's sake.
func TestClosedEarly(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		answer string
		kept   bool
	}{
		"all is there":         {small, true},
		"a little":             {"HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n" + large[:6000], true},
		"a little in chunks":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true},
		"much":                 {"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n" + large, false},
		"much in chunks":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n" + large + "\r\n0\r\n\r\n", false},
		"not there":            {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", false},
		"not there, in chunks": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false},
		"until the end":        {"HTTP/1.1 200 OK\r\n\r\nhello", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := answers(t, test.answer), client(t)
			got, err := c.RoundTrip(get(t, s))
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			got.Body.Close()
			if took := time.Since(begin); took > time.Second {
				t.Errorf("closing took %v", took)
			}
			if kept := idle(c) == 1; kept != test.kept {
				t.Errorf("the connection was kept: %v", kept)
			}
		})
	}
}

func TestWriteTo(t *testing.T) {
	for _, size := range []int{0, 1, 1000, 5000, maxPiece - 1, 3*maxPiece + 7} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			want := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
			s, c := answers(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, want)), client(t)
			for range 2 {
				near, far := pair(t)
				received := make(chan []byte)
				go func() {
					b, _ := io.ReadAll(far)
					received <- b
				}()
				var plain bytes.Buffer
				pieces := &pieces{TCPConn: near}
				for _, w := range []io.Writer{pieces, onlyWriter{&plain}} {
					got, err := c.RoundTrip(get(t, s))
					if err != nil {
						t.Fatal(err)
					}
					n, err := got.Body.(io.WriterTo).WriteTo(w)
					if n != int64(size) || err != nil {
						t.Errorf("%T: %d bytes, %v", w, n, err)
					}
					if n, err := got.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
						t.Errorf("after the end: %d bytes, %v", n, err)
					}
					got.Body.Close()
				}
				near.CloseWrite()
				if b := <-received; !bytes.Equal(b, want) || !bytes.Equal(plain.Bytes(), want) {
					t.Error("other bytes were written")
				}
				if size > maxPiece && (pieces.n < 3 || pieces.largest > maxPiece) {
					t.Errorf("%d pieces of at most %d bytes", pieces.n, pieces.largest)
				}
			}
			s.wantConnections(t, 1)
		})
	}
}

// pieces counts what it is handed at once.
type pieces struct {
	*net.TCPConn
	n       int
	largest int64
}

func (p *pieces) ReadFrom(r io.Reader) (int64, error) {
	n, err := p.TCPConn.ReadFrom(r)
	p.n++
	p.largest = max(p.largest, n)
	return n, err
}

type onlyWriter struct{ io.Writer }

// A writer that fails makes nothing of the connection that could harm others.
func TestWriterFails(t *testing.T) {
	errFull := errors.New("full")
	large := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		writer io.Writer
		body   string
		kept   bool
	}{
		"Write":    {failing{errFull}, "hello", true},
		"ReadFrom": {failingReaderFrom{failing{errFull}}, large, false},
		"large":    {failing{errFull}, large, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := answers(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(test.body), test.body)), client(t)
			got, err := c.RoundTrip(get(t, s))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(test.writer, got.Body); !errors.Is(err, errFull) {
				t.Error(err)
			}
			got.Body.Close()
			if kept := idle(c) == 1; kept != test.kept {
				t.Errorf("the connection was kept: %v", kept)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// failingReaderFrom loses what it has read, as a splice does that cannot write.
type failingReaderFrom struct{ failing }

func (f failingReaderFrom) Write(p []byte) (int, error) { return len(p), nil }

func (f failingReaderFrom) ReadFrom(r io.Reader) (int64, error) {
	r.Read(make([]byte, 100))
	return 0, f.err
}

// Only a body of known length may be taken as a whole: others are passed on as
// they come.
func TestStreamsArePassedOnAsTheyCome(t *testing.T) {
	release := make(chan bool)
	s := serve(t, func(_ int, conn *net.TCPConn, requests *bufio.Reader) {
		next(requests)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range 3 {
			io.WriteString(conn, "8\r\ndata: a\n\r\n")
			<-release
		}
		io.WriteString(conn, "0\r\n\r\n")
		<-release
	})
	got, err := client(t).RoundTrip(get(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer close(release)
	defer got.Body.Close()
	if _, ok := got.Body.(io.WriterTo); ok {
		t.Error("the body can be written as a whole")
	}
	for range 3 {
		p := make([]byte, 100)
		if n, err := got.Body.Read(p); err != nil || string(p[:n]) != "data: a\n" {
			t.Errorf("got %q, %v", p[:n], err)
		}
		release <- true
	}
	if n, err := got.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
}
