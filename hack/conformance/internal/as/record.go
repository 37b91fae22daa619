package as

import (
	"bytes"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/leak"
)

// Endpoint is one of a provider's endpoints.
type Endpoint string

// The endpoints.
const (
	Discovery  Endpoint = "discovery"
	JWKS       Endpoint = "jwks"
	Authorize  Endpoint = "authorize"
	PAR        Endpoint = "par"
	Token      Endpoint = "token"
	UserInfo   Endpoint = "userinfo"
	Revocation Endpoint = "revocation"
	EndSession Endpoint = "end_session"
	click      Endpoint = "click"
	unknown    Endpoint = "unknown"
)

// Request is a request as it arrived.
type Request struct {
	Endpoint Endpoint
	Time     time.Time
	Method   string
	URL      *url.URL // as in the request line
	Host     string
	Header   http.Header
	Body     string
	// Query and Form are the parameters of the URL and of a form body.
	Query, Form url.Values
	// Certificate the client has shown, nil if none.
	Certificate *x509.Certificate
	// Alias says that it arrived at the listener of mtls_endpoint_aliases.
	Alias bool
}

// Param is a parameter of the form, or else of the query.
func (r *Request) Param(name string) string {
	if r.Form.Has(name) {
		return r.Form.Get(name)
	}
	return r.Query.Get(name)
}

// Requests are all requests to an endpoint so far.
func (s *Server) Requests(at Endpoint) []*Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*Request
	for _, r := range s.requests {
		if r.Endpoint == at {
			found = append(found, r)
		}
	}
	return found
}

// Last is the latest request to an endpoint, nil if there is none.
func (s *Server) Last(at Endpoint) *Request {
	found := s.Requests(at)
	if len(found) == 0 {
		return nil
	}
	return found[len(found)-1]
}

// Forget forgets the requests so far.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// Grants are the requests to the token endpoint with a grant type.
func (s *Server) Grants(grantType string) []*Request {
	return slices.DeleteFunc(s.Requests(Token), func(r *Request) bool { return r.Form.Get("grant_type") != grantType })
}

const maxBody = 1 << 20

// handle records a request and serves it.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxBody)) // what could not be read fails further on
	r.Body = io.NopCloser(bytes.NewReader(body))
	at := s.endpointOf(r.URL.Path)
	rec := s.record(at, r, string(body))
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	for name, values := range s.current().Headers[at] {
		w.Header()[name] = values
	}
	f := s.nextFault(at)
	s.wait(at, r)
	if f.delay > 0 {
		select {
		case <-time.After(f.delay):
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case f.status != 0:
		for name, values := range f.header {
			w.Header()[name] = values
		}
		http.Error(w, "fault injected by the test", f.status)
	case f.drop:
		s.dispatch(httptest.NewRecorder(), r, rec)
		panic(http.ErrAbortHandler)
	default:
		s.dispatch(w, r, rec)
	}
}

func (s *Server) record(at Endpoint, r *http.Request, body string) *Request {
	rec := &Request{
		Endpoint: at, Time: time.Now(), Method: r.Method, URL: r.URL, Host: r.Host, Header: r.Header.Clone(), Body: body,
		Query: r.URL.Query(), Form: url.Values{},
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		if form, err := url.ParseQuery(body); err == nil {
			rec.Form = form
		} else {
			s.violated(at, "form body does not parse: %v", err)
		}
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		rec.Certificate = r.TLS.PeerCertificates[0]
	}
	if address, ok := r.Context().Value(http.LocalAddrContextKey).(interface{ String() string }); ok {
		rec.Alias = s.AliasAddress != "" && address.String() == s.AliasAddress
	}
	for name, reach := range map[string]leak.Reach{
		"state": leak.Browser, "nonce": leak.Browser, "code_verifier": leak.Nowhere, "client_assertion": leak.Nowhere, "client_secret": leak.Nowhere,
	} {
		if at == Authorize && reach == leak.Nowhere {
			continue
		}
		s.Leaks.Add(name, rec.Param(name), reach)
	}
	s.Leaks.Add("DPoP proof", r.Header.Get("DPoP"), leak.Nowhere)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, rec)
	return rec
}

// duplicates reports parameters that stand there more than once (OA-03);
// resource may (RFC 8707 section 2).
func (s *Server) duplicates(r *Request, values url.Values) bool {
	found := false
	for name, v := range values {
		if len(v) > 1 && name != "resource" {
			s.violated(r.Endpoint, "parameter %s stands there %d times", name, len(v))
			found = true
		}
	}
	return found
}

var quiet = log.New(io.Discard, "", 0)
