package upstream

import (
	"io"
	"net/http"
	"strings"
)

// maxBody bounds a body that is sent along with its header, in bytes.
const maxBody = 64 << 10

// Unrepeatable is the body of a request that has none, and that the Client must
// not send again by itself.
var Unrepeatable io.ReadCloser = unrepeatable{}

type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }
func (unrepeatable) Close() error             { return nil }

// plain says whether a request is one to send by ourselves, as far as its header
// does not say otherwise. What it leaves out is not wrong, only rare.
func plain(r *http.Request) bool {
	if r.URL == nil || r.URL.Scheme != "http" || r.URL.Host == "" || r.Header == nil || r.Method == http.MethodConnect ||
		r.Close || r.TransferEncoding != nil || r.Trailer != nil {
		return false
	}
	if !plainHost(r.URL.Host) || !plainHost(r.Host) || strings.HasPrefix(r.URL.Opaque, "//") {
		return false
	}
	switch r.Body {
	case nil, http.NoBody, Unrepeatable:
		return r.ContentLength == 0
	}
	return r.ContentLength > 0 && r.ContentLength <= maxBody
}

// plainHost says whether a host is written as it is: without a zone, and without
// letters that have to be encoded.
func plainHost(host string) bool {
	for i := range len(host) {
		if host[i] == '%' || host[i] >= 0x80 {
			return false
		}
	}
	return true
}

// repeatable says whether a request is sent again when a kept connection turns
// out to be dead: the same ones that net/http repeats.
func repeatable(r *http.Request) bool {
	if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return false
	}
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return r.Header["Idempotency-Key"] != nil || r.Header["X-Idempotency-Key"] != nil
}

func hasPort(host string) bool {
	return strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']')
}

func unbracketed(host string) string { return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]") }

// role is what a field does in a request.
type role uint8

const (
	described role = iota // it describes the request: it is sent as it is
	decided               // others decide about it: Host and Content-Length
	unusual               // it makes something else of the request or its connection
)

// roleOf finds out what a field does, in whatever case its name is written (RFC
// 9110 sections 6.6.2, 7.6.1, 7.8, 10.1.1 and 10.1.4).
func roleOf(name string) role {
	for _, f := range roles[len(name)%len(roles)] {
		if strings.EqualFold(name, f.name) {
			return f.role
		}
	}
	return described
}

type roleName struct {
	name string
	role role
}

// roles are found by the length of their names.
var roles = func() (table [32][]roleName) {
	for _, f := range []roleName{
		{"Host", decided}, {"Content-Length", decided},
		{"Connection", unusual}, {"Expect", unusual}, {"Keep-Alive", unusual}, {"Proxy-Connection", unusual}, {"TE", unusual},
		{"Trailer", unusual}, {"Transfer-Encoding", unusual}, {"Upgrade", unusual},
	} {
		table[len(f.name)] = append(table[len(f.name)], f)
	}
	return table
}()
