package oidcprovider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Endpoints, as a Fault and the counts name them.
const (
	TokenPath  = "/token"
	RevokePath = "/token/revocation"
	PushPath   = "/request"
)

// Fault has the next requests of one kind go wrong.
type Fault struct {
	Path string
	// Grant is the grant_type it is for, "" for any.
	Grant string
	// Count is how many requests it is for.
	Count int
	// Status is answered in place of processing the request.
	Status int
	// Stall waits before the request is processed, which it is not if the caller has
	// gone by then. The event stalled tells when it begins.
	Stall time.Duration
	// Hold waits after the request was processed, with the answer. The event held
	// tells when it begins.
	Hold time.Duration
	// Drop breaks the connection in place of the answer.
	Drop bool
}

// MarshalJSON writes it as the script reads it.
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"path": f.Path, "grant": f.Grant, "count": f.Count, "status": f.Status,
		"stall": f.Stall.Milliseconds(), "hold": f.Hold.Milliseconds(), "drop": f.Drop,
	})
}

// Fault replaces the faults that are left of earlier calls.
func (s *Server) Fault(t testing.TB, faults ...Fault) {
	t.Helper()
	data, err := json.Marshal(append([]Fault{}, faults...))
	if err != nil {
		t.Fatal(err)
	}
	s.ask(t, http.MethodPost, "/faults", data, nil)
}

// BackChannel registers where logout tokens for a client go.
func (s *Server) BackChannel(t testing.TB, client, uri string) {
	t.Helper()
	data, err := json.Marshal(map[string]string{"client": client, "uri": uri})
	if err != nil {
		t.Fatal(err)
	}
	s.ask(t, http.MethodPost, "/backchannel", data, nil)
}

// Counts are how often what happened to a client, such as "POST /token
// refresh_token 200" or "prompt login". What cannot be told to be of a client is
// counted under "".
func (s *Server) Counts(t testing.TB, client string) map[string]int {
	t.Helper()
	counts := map[string]map[string]int{}
	s.ask(t, http.MethodGet, "/counts", nil, &counts)
	return counts[client]
}

// Refreshes is how many refresh tokens a client has spent successfully.
func (s *Server) Refreshes(t testing.TB, client string) int {
	t.Helper()
	return s.Counts(t, client)["POST "+TokenPath+" refresh_token 200"]
}

// Token is what the provider knows of an access token.
type Token struct {
	Active   bool   `json:"active"`
	Client   string `json:"client_id"`
	Expiry   int64  `json:"exp"` // seconds since 1970
	Scope    string `json:"scope"`
	Audience string `json:"aud"` // the resource it is for
	Confirms struct {
		JKT        string `json:"jkt"`
		Thumbprint string `json:"x5t#S256"`
	} `json:"cnf"`
}

// Introspect asks about an access token, as a resource server does.
func (s *Server) Introspect(token string) (Token, error) {
	var known Token
	err := s.call(http.MethodPost, "/token", []byte(token), &known)
	return known, err
}

func (s *Server) ask(t testing.TB, method, path string, body []byte, into any) {
	t.Helper()
	if err := s.call(method, path, body, into); err != nil {
		t.Fatal(err)
	}
}

var control = &http.Client{Timeout: 10 * time.Second}

func (s *Server) call(method, path string, body []byte, into any) error {
	request, err := http.NewRequest(method, s.control+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := control.Do(request)
	if err != nil {
		return fmt.Errorf("ask the provider's control port: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read the control port's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("control port, %s %s: %s %s", method, path, response.Status, strings.TrimSpace(string(answer)))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
