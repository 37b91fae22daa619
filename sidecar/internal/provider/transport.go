package provider

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxBody bounds every answer. It is far more than any metadata, key set or
	// token response needs.
	maxBody = 256 << 10
	// defaultTimeout bounds a call, from dialling to the end of the answer.
	defaultTimeout = 10 * time.Second
)

// newHTTPClient makes the client that every call of the provider uses.
//
// It follows no redirect: the requests that matter carry the client's
// credentials.
func (c *Client) newHTTPClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     whole{timed{transport, &c.clock, c.config.Clock}},
		Timeout:       c.config.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// newTransport makes connections to the provider. It does not use the proxies
// that environment variables name: where tokens are sent is decided by the
// policy alone.
func newTransport(issuer *url.URL, connectTo string, config *tls.Config, timeout time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	transport := &http.Transport{
		DialContext:           dialer.DialContext,
		TLSClientConfig:       config,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: timeout,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          16,
		MaxIdleConnsPerHost:   8,
		// One connection of HTTP/2 serves all calls. One that has died in silence would
		// serve them for a quarter of an hour, until the kernel gives it up.
		HTTP2: &http.HTTP2Config{SendPingTimeout: timeout, PingTimeout: timeout / 2},
		// Headers count as much as bodies do.
		MaxResponseHeaderBytes: 64 << 10,
	}
	if connectTo != "" {
		transport.DialContext = dialInstead(dialer, hostPort(issuer), connectTo)
	}
	return transport
}

// dialInstead dials instead whenever target is meant. Host header and TLS
// server name come from the request's URL, so that they stay what they were.
func dialInstead(dialer *net.Dialer, target, instead string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.EqualFold(address, target) {
			address = instead
		}
		return dialer.DialContext(ctx, network, address)
	}
}

// hostPort is what is dialled for a URL.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// whole reads an answer to its end before anybody looks at it, so that one that
// is too long, cut short or too slow is a failed call and not a failed parse.
type whole struct{ next http.RoundTripper }

func (t whole) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(http.MaxBytesReader(nil, response.Body, maxBody))
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections through.
func (t whole) CloseIdleConnections() { closeIdle(t.next) }

func closeIdle(t http.RoundTripper) {
	if closer, ok := t.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// documents makes every status but 200 an error, before anybody reads the body
// into an error's text. It is for metadata and keys.
type documents struct{ next http.RoundTripper }

func (d documents) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := d.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, statusError(response.StatusCode)
	}
	return response, nil
}

// callFailure explains a call that failed. If the network was not to blame, the
// answer was, which is what otherwise says.
func callFailure(attempt string, err error, otherwise Reason) *Error {
	// One of this client's own, from before anything was sent.
	if failed, ok := errors.AsType[*Error](err); ok {
		return failure(attempt, failed.Reason, failed.cause)
	}
	if status, ok := errors.AsType[statusError](err); ok {
		return failure(attempt, ReasonStatus, status)
	}
	if _, ok := errors.AsType[*url.Error](err); ok || isTimeout(err) {
		return failure(attempt, ReasonUnreachable, describe(err))
	}
	return failure(attempt, otherwise, nil)
}

// describe keeps of a network error what helps to find its cause. The rest is
// dropped, since net/http quotes answers it cannot parse.
func describe(err error) error {
	if isTimeout(err) {
		return errors.New("timed out")
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("connection closed before the end of the answer")
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fmt.Errorf("answer longer than %d bytes", e.Limit)
	}
	return errors.New("no usable HTTP answer")
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
