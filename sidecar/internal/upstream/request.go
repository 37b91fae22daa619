package upstream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// outgoing is a request as it goes over the wire: header and body in one piece.
type outgoing struct{ bytes []byte }

// maxReused bounds the buffers that are used again, in bytes.
const maxReused = 16 << 10

func (o *outgoing) release() {
	if cap(o.bytes) <= maxReused {
		outgoings.Put(o)
	}
}

// errNotPlain says that a request turned out not to be plain. Nothing was done
// with it.
var errNotPlain = errors.New("the request is not plain")

// write makes the bytes of a plain request and closes its body.
func (o *outgoing) write(r *http.Request) (err error) {
	o.bytes, err = appendHead(o.bytes[:0], r)
	if err == errNotPlain {
		return err
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err == nil && r.ContentLength > 0 {
		err = o.body(r)
	}
	return err
}

// body reads the request's body, which has to be as long as announced: a server
// would take what is missing from the next request, or what is too much for one
// (RFC 9112 section 11.2).
func (o *outgoing) body(r *http.Request) error {
	head, length := len(o.bytes), int(r.ContentLength)
	if free := cap(o.bytes) - head; free < length+1 {
		o.bytes = append(make([]byte, 0, head+length+1), o.bytes...)
	}
	buffer := o.bytes[head : head+length+1]
	n, err := io.ReadFull(r.Body, buffer)
	switch {
	case err == io.ErrUnexpectedEOF && n == length:
		o.bytes = o.bytes[:head+length]
		return nil
	case err == nil || err == io.EOF || err == io.ErrUnexpectedEOF:
		return fmt.Errorf("the request's body is not of its Content-Length %d", length)
	}
	return fmt.Errorf("reading the request's body: %w", err)
}

// appendHead writes the head of a request (RFC 9112 section 3) as net/http does,
// but for a User-Agent, which it does not make up. It refuses what net/http
// refuses or would leave out.
func appendHead(b []byte, r *http.Request) ([]byte, error) {
	method, host := r.Method, r.Host
	if method == "" {
		method = http.MethodGet
	}
	if host == "" {
		host = r.URL.Host
	}
	if !all(method, isToken) {
		return b, errors.New("the request's method is not a token")
	}
	if !all(host, isHost) {
		return b, errors.New("the request's Host is not valid")
	}
	b = append(b, method...)
	b = append(b, ' ')
	b, ok := appendTarget(b, r)
	if !ok {
		return b, errors.New("the request's target has a blank or a control character")
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\n"...)
	if r.ContentLength > 0 || method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, r.ContentLength, 10)
		b = append(b, "\r\n"...)
	}
	return appendFields(b, r.Header)
}

func appendFields(b []byte, h http.Header) ([]byte, error) {
	for name, values := range h {
		if !all(name, isToken) {
			return b, fmt.Errorf("the name of the request's field %q is not a token", name)
		}
		switch roleOf(name) {
		case decided:
			continue
		case unusual:
			return b, errNotPlain
		}
		if name == "User-Agent" {
			// There is one, or none if it is empty.
			if len(values) > 1 {
				values = values[:1]
			}
			if len(values) == 0 || values[0] == "" {
				continue
			}
		}
		for _, value := range values {
			if !all(value, isValue) {
				return b, fmt.Errorf("the request's field %q has a control character", name) // the value may be a secret
			}
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, strings.Trim(value, " \t")...)
			b = append(b, "\r\n"...)
		}
	}
	return append(b, "\r\n"...), nil
}

// appendTarget writes a request's target as url.URL's RequestURI has it.
func appendTarget(b []byte, r *http.Request) ([]byte, bool) {
	start := len(b)
	path := r.URL.Opaque
	if path == "" {
		path = r.URL.EscapedPath()
	}
	if path == "" {
		path = "/"
	}
	b = append(b, path...)
	if r.URL.ForceQuery || r.URL.RawQuery != "" {
		b = append(b, '?')
		b = append(b, r.URL.RawQuery...)
	}
	return b, all(b[start:], isTarget)
}
