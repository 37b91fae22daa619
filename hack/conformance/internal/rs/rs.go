// Package rs is RS*, a resource server that keeps every byte of every request
// and answers as it is told. It speaks HTTP/1.1 on the socket itself, so that
// neither what arrives nor what is sent has been through a library's idea of
// what is proper.
package rs

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/pki"
)

// Request is a request as it arrived.
type Request struct {
	Time time.Time
	// Head is the exact bytes of request line and header, with the empty line.
	Head string
	// Method and Target are those of the request line.
	Method, Target string
	// Fields are the header fields in their order, names as they were written.
	Fields []Field
	// Header has the same fields under canonical names.
	Header http.Header
	Host   string
	Body   []byte
	// Certificate the client has shown, nil if none.
	Certificate *x509.Certificate
	// Peer is the address it came from.
	Peer string
}

// Field is a header field.
type Field struct{ Name, Value string }

// Fields makes header fields of names and values in turn.
func Fields(pairs ...string) []Field {
	var fields []Field
	for i := 0; i+1 < len(pairs); i += 2 {
		fields = append(fields, Field{pairs[i], pairs[i+1]})
	}
	return fields
}

// Token is the access token of the Authorization header, whatever its scheme.
func (r *Request) Token() string {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return token
}

// Scheme is the scheme of the Authorization header.
func (r *Request) Scheme() string {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return scheme
}

// Reply is an answer.
type Reply struct {
	Status int // default 200
	// Fields are sent as they stand, besides Content-Length or Transfer-Encoding,
	// which Body and Stream get by themselves unless NoFraming is set.
	Fields []Field
	Body   []byte
	// Trailer is sent after a chunked body.
	Trailer []Field
	// Stream writes a chunked body; each call of write is one chunk, sent at once.
	// It returns when the body is complete, or write fails.
	Stream func(write func([]byte) error)
	// Raw takes over the connection after the request was read. Nothing else of the
	// Reply counts, and the connection is closed when it returns.
	Raw func(net.Conn, *bufio.Reader)
	// NoFraming sends no Content-Length, and closes.
	NoFraming bool
	// Delay waits before the answer.
	Delay time.Duration
}

// JSON is a reply with a JSON document.
func JSON(status int, document any) Reply {
	body, err := json.Marshal(document)
	if err != nil {
		panic(err) // the document is the test's own
	}
	return Reply{Status: status, Fields: Fields("Content-Type", "application/json"), Body: body}
}

// Server is a resource server.
type Server struct {
	// Address is host:port, URL the upstream's URL.
	Address, URL string

	mu       sync.Mutex
	requests []*Request
	answer   func(*Request) Reply
	conns    map[net.Conn]struct{}
}

// Options make a Server.
type Options struct {
	// Certificate to speak TLS with. Clients are asked for theirs, and none is
	// refused.
	Certificate *pki.Certificate
	// Answer answers. Default: Echo.
	Answer func(*Request) Reply
}

// Start starts a server that ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: listener.Addr().String(), answer: o.Answer, conns: map[net.Conn]struct{}{}}
	s.URL = "http://" + s.Address
	if s.answer == nil {
		s.answer = Echo
	}
	if o.Certificate != nil {
		s.URL = "https://" + s.Address
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{o.Certificate.TLS}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12})
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.track(conn, true)
			serving.Go(func() {
				defer s.track(conn, false)
				s.serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		s.CloseConnections()
		serving.Wait()
	})
	return s
}

func (s *Server) track(conn net.Conn, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if open {
		s.conns[conn] = struct{}{}
		return
	}
	delete(s.conns, conn)
	_ = conn.Close()
}

// CloseConnections breaks all connections.
func (s *Server) CloseConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

// Answer has requests answered this way from now on.
func (s *Server) Answer(answer func(*Request) Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// Requests are all requests so far.
func (s *Server) Requests() []*Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Last is the latest request, nil if there is none.
func (s *Server) Last() *Request {
	all := s.Requests()
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// Forget forgets the requests so far.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// Echo tells what arrived, and no header: a token must not come back this way.
func Echo(r *Request) Reply {
	return JSON(http.StatusOK, map[string]any{"method": r.Method, "target": r.Target, "bodySize": len(r.Body)})
}

const maxHead = 256 << 10

func (s *Server) serve(conn net.Conn) {
	var certificate *x509.Certificate
	if secure, ok := conn.(*tls.Conn); ok {
		if err := secure.Handshake(); err != nil {
			return // the client did not like our certificate
		}
		if shown := secure.ConnectionState().PeerCertificates; len(shown) > 0 {
			certificate = shown[0]
		}
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	for {
		r, err := read(in)
		if err != nil {
			return
		}
		r.Certificate, r.Peer = certificate, conn.RemoteAddr().String()
		s.mu.Lock()
		s.requests = append(s.requests, r)
		answer := s.answer
		s.mu.Unlock()
		reply := answer(r)
		time.Sleep(reply.Delay)
		if reply.Raw != nil {
			reply.Raw(conn, in)
			return
		}
		if !reply.send(conn, r.Method) {
			return
		}
	}
}

// read reads one request and keeps its head byte by byte.
func read(in *bufio.Reader) (*Request, error) {
	var head strings.Builder
	for {
		line, err := in.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			return nil, err
		}
		if line == "\r\n" || line == "\n" {
			break
		}
		if head.Len() > maxHead {
			return nil, fmt.Errorf("the header is longer than %d bytes", maxHead)
		}
	}
	r := &Request{Time: time.Now(), Head: head.String(), Header: http.Header{}}
	lines := strings.Split(strings.TrimRight(r.Head, "\r\n"), "\n")
	first := strings.SplitN(strings.TrimRight(lines[0], "\r"), " ", 3)
	if len(first) == 3 {
		r.Method, r.Target = first[0], first[1]
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r"), ":")
		value = strings.Trim(value, " \t")
		r.Fields = append(r.Fields, Field{name, value})
		r.Header.Add(name, value)
	}
	r.Host = r.Header.Get("Host")
	parsed, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(r.Head), in)))
	if err != nil {
		return nil, err
	}
	r.Body, err = io.ReadAll(parsed.Body)
	return r, err
}

// send writes the reply and says whether the connection may go on.
func (p Reply) send(conn net.Conn, method string) bool {
	status := p.Status
	if status == 0 {
		status = http.StatusOK
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for _, field := range p.Fields {
		fmt.Fprintf(&b, "%s: %s\r\n", field.Name, field.Value)
	}
	chunked := p.Stream != nil || len(p.Trailer) > 0
	switch {
	case p.NoFraming:
		b.WriteString("Connection: close\r\n")
	case chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n")
	case !bodyless(status):
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(p.Body))
	}
	b.WriteString("\r\n")
	if method == http.MethodHead || bodyless(status) {
		_, err := conn.Write(b.Bytes())
		return err == nil && !p.NoFraming
	}
	if !chunked {
		b.Write(p.Body)
		_, err := conn.Write(b.Bytes())
		return err == nil && !p.NoFraming
	}
	if _, err := conn.Write(b.Bytes()); err != nil {
		return false
	}
	return p.sendChunks(conn)
}

// bodyless says whether answers of a status have no body (RFC 9110 section 6.4.1).
func bodyless(status int) bool {
	return status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
}

func (p Reply) sendChunks(conn net.Conn) bool {
	broken := false
	write := func(chunk []byte) error {
		if len(chunk) == 0 {
			return nil
		}
		_, err := fmt.Fprintf(conn, "%x\r\n%s\r\n", len(chunk), chunk)
		broken = broken || err != nil
		return err
	}
	_ = write(p.Body) // noted
	if p.Stream != nil {
		p.Stream(write)
	}
	if broken {
		return false
	}
	var end strings.Builder
	end.WriteString("0\r\n")
	for _, field := range p.Trailer {
		fmt.Fprintf(&end, "%s: %s\r\n", field.Name, field.Value)
	}
	_, err := io.WriteString(conn, end.String()+"\r\n")
	return err == nil
}
