package upstream

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The usual call: a GET with a browser's fields and a token, an answer of 1 KiB.
// The server is a socket that answers what it has ready, so that what is counted
// is the client's.
func BenchmarkGet(b *testing.B) {
	answer := []byte("HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n" +
		"Cache-Control: no-store\r\nServer: orders\r\n\r\n" + strings.Repeat("x", 1024))
	s := serve(b, func(_ int, conn *net.TCPConn, requests *bufio.Reader) {
		buffer := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			if bytes.HasSuffix(buffer[:n], []byte("\r\n\r\n")) {
				if _, err := conn.Write(answer); err != nil {
					return
				}
			}
		}
	})
	fresh := func() *http.Request {
		r := request(b, "GET", s.address, "/orders?limit=20", nil)
		for i := range 10 {
			r.Header.Set(fmt.Sprintf("X-Field-%d", i), "some value of a usual length")
		}
		r.Header.Set("User-Agent", "browser")
		r.Header.Set("Authorization", "Bearer "+strings.Repeat("t", 846))
		return r
	}
	theirs := &http.Transport{
		DisableCompression: true, MaxIdleConns: 512, MaxIdleConnsPerHost: 256, ResponseHeaderTimeout: time.Minute, IdleConnTimeout: time.Minute,
	}
	b.Cleanup(theirs.CloseIdleConnections)
	for _, client := range []struct {
		name string
		http.RoundTripper
	}{{"upstream", client(b)}, {"http.Transport", theirs}} {
		one := func(b *testing.B, r *http.Request, buffer []byte) {
			answer, err := client.RoundTrip(r)
			if err != nil {
				b.Fatal(err)
			}
			for err == nil {
				_, err = answer.Body.Read(buffer)
			}
			if err != io.EOF {
				b.Fatal(err)
			}
			answer.Body.Close()
		}
		b.Run(client.name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			r, buffer := fresh(), new(copyBuffer)
			for b.Loop() {
				one(b, r, buffer[:])
			}
		})
		b.Run(client.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(p *testing.PB) {
				r, buffer := fresh(), new(copyBuffer)
				for p.Next() {
					one(b, r, buffer[:])
				}
			})
		})
	}
}
