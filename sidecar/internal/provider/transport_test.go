package provider

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// frontDoor passes connections on to a server until they are frozen, which they
// notice nothing of: as with a load balancer that has forgotten them.
type frontDoor struct {
	net.Listener
	mu   sync.Mutex
	open []chan struct{} // closed when the connection is frozen
}

func (d *frontDoor) serve(server string) {
	for {
		client, err := d.Accept()
		if err != nil {
			return
		}
		backend, err := net.Dial("tcp", server)
		if err != nil {
			_ = client.Close()
			continue
		}
		frozen := make(chan struct{})
		d.mu.Lock()
		d.open = append(d.open, frozen)
		d.mu.Unlock()
		for _, pair := range [][2]net.Conn{{client, backend}, {backend, client}} {
			go func() {
				buffer := make([]byte, 4096)
				for {
					n, err := pair[0].Read(buffer)
					select {
					case <-frozen: // and no byte gets through any more
						_, _ = io.Copy(io.Discard, pair[0])
						return
					default:
					}
					if err != nil {
						_ = pair[1].Close()
						return
					}
					_, _ = pair[1].Write(buffer[:n])
				}
			}()
		}
	}
}

func (d *frontDoor) freeze() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, frozen := range d.open {
		close(frozen)
	}
	d.open = nil
}

// A connection that has died in silence is given up, though HTTP/2 needs no other
// one for whatever comes. Otherwise every call would end by its time-out until
// the kernel gives the connection up, which takes a quarter of an hour.
func TestDeadConnectionIsGivenUp(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front := &frontDoor{Listener: listener}
	t.Cleanup(func() { _ = front.Close() })
	go front.serve(server.Listener.Addr().String())

	const timeout = 300 * time.Millisecond
	issuer, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	transport := newTransport(issuer, listener.Addr().String(), &tls.Config{RootCAs: roots}, timeout)
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: timeout}
	call := func() (string, error) {
		response, err := client.Get(server.URL)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		protocol, err := call()
		if err == nil && protocol == "HTTP/2.0" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no HTTP/2: %s, %v", protocol, err)
		}
	}
	front.freeze()
	if _, err := call(); err == nil {
		t.Fatal("the connection is not frozen")
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		_, err := call()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still no answer: %v", err)
		}
	}
}
