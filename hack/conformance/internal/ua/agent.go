package ua

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options make an Agent.
type Options struct {
	// Addresses maps host or host:port of a URL to host:port to dial. An https URL
	// whose host is in Plain is spoken to without TLS, as behind an ingress.
	// Functions, so that replicas can be chosen by request.
	Addresses func(hostPort string) string
	Plain     func(host string) bool
	// Roots verify the others.
	Roots *x509.CertPool
	// Watched says whether answers of this host are kept for the leak scan. Default:
	// those of Plain.
	Watched func(host string) bool
}

// Agent is one browser profile.
type Agent struct {
	Jar *Jar

	t         testing.TB
	options   Options
	transport *http.Transport

	mu         sync.Mutex
	received   strings.Builder
	setCookies []SetCookie
}

// SetCookie is a Set-Cookie header as it came.
type SetCookie struct {
	Path string // of the request
	Line string
}

// SetCookies are all Set-Cookie headers of the watched hosts so far, deletions
// too.
func (a *Agent) SetCookies() []SetCookie {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.setCookies)
}

// New makes an agent with an empty jar. Requests that cannot be made end the
// test.
func New(t testing.TB, o Options) *Agent {
	t.Helper()
	if o.Watched == nil {
		o.Watched = o.Plain
	}
	a := &Agent{Jar: &Jar{}, t: t, options: o}
	a.transport = &http.Transport{
		DialContext:        func(ctx context.Context, _, address string) (net.Conn, error) { return a.dial(ctx, address) },
		DialTLSContext:     a.dialTLS,
		DisableCompression: true, MaxIdleConnsPerHost: 64,
		ResponseHeaderTimeout: 30 * time.Second,
	}
	t.Cleanup(a.transport.CloseIdleConnections)
	return a
}

func (a *Agent) dial(ctx context.Context, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", a.options.Addresses(address))
}

func (a *Agent) dialTLS(ctx context.Context, _, address string) (net.Conn, error) {
	conn, err := a.dial(ctx, address)
	host, _, _ := net.SplitHostPort(address)
	if err != nil || a.options.Plain(host) {
		return conn, err
	}
	secure := tls.Client(conn, &tls.Config{ServerName: host, RootCAs: a.options.Roots, MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the handshake's error says more
		return nil, err
	}
	return secure, nil
}

// CloseConnections has the next requests use new connections, and so perhaps
// another replica.
func (a *Agent) CloseConnections() { a.transport.CloseIdleConnections() }

// Response is an answer, read to its end.
type Response struct {
	Status  int
	Header  http.Header
	Trailer http.Header
	Body    string
	// URL that was asked, and the request as it was sent.
	URL     *url.URL
	Request *http.Request
	// Hops are the answers before this one that led here, the first one first.
	Hops []*Response
}

// Cookies are the cookies an answer sets, whether a browser keeps them or not.
func (r *Response) Cookies() []*http.Cookie {
	return (&http.Response{Header: r.Header}).Cookies()
}

// Hop is the first of the hops and the answer itself whose URL has the path.
func (r *Response) Hop(path string) *Response {
	for _, hop := range append(slices.Clone(r.Hops), r) {
		if hop.URL.Path == path {
			return hop
		}
	}
	return nil
}

// Location is the absolute target of a redirect, nil if it is none.
func (r *Response) Location() *url.URL {
	target, err := r.URL.Parse(r.Header.Get("Location"))
	if err != nil || r.Header.Get("Location") == "" {
		return nil
	}
	return target
}

func (r *Response) String() string {
	return fmt.Sprintf("%d to %s %s: %.300s", r.Status, r.Request.Method, r.URL.Path, r.Body)
}

const maxBody = 32 << 20

// send sends one request with the cookies of the jar, keeps the answer's, and
// reads it.
func (a *Agent) send(r *http.Request, crossSite, topLevel, credentials bool) (*Response, error) {
	response, err := a.open(r, crossSite, topLevel, credentials)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("read answer to %s %s: %w", r.Method, r.URL, err)
	}
	a.note(r.URL, string(body)+fmt.Sprint(response.Trailer))
	return &Response{Status: response.StatusCode, Header: response.Header, Trailer: response.Trailer, Body: string(body), URL: r.URL, Request: r}, nil
}

// open is send without reading the body.
func (a *Agent) open(r *http.Request, crossSite, topLevel, credentials bool) (*http.Response, error) {
	if cookies := a.Jar.header(r.URL, crossSite, topLevel); credentials && cookies != "" && r.Header.Get("Cookie") == "" {
		r.Header.Set("Cookie", cookies)
	}
	response, err := a.transport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Method, r.URL, err)
	}
	if credentials {
		a.Jar.set(r.URL, response.Header)
	}
	var head strings.Builder
	fmt.Fprintf(&head, "%s\n", response.Status)
	for name, values := range response.Header {
		fmt.Fprintf(&head, "%s: %s\n", name, strings.Join(values, "\n"))
	}
	a.note(r.URL, head.String())
	if a.options.Watched(r.URL.Hostname()) {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, line := range response.Header.Values("Set-Cookie") {
			a.setCookies = append(a.setCookies, SetCookie{r.URL.Path, line})
		}
	}
	return response, nil
}

func (a *Agent) note(from *url.URL, text string) {
	if !a.options.Watched(from.Hostname()) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintf(&a.received, "%s\n%s\n", from.Path, text)
}

// Received is everything the watched hosts have sent to this agent.
func (a *Agent) Received() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.received.String()
}

func (a *Agent) url(raw string) *url.URL {
	a.t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u
}

func (a *Agent) must(r *Response, err error) *Response {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
	return r
}
