package as

import (
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/leak"
)

// push serves the endpoint for pushed authorization requests (RFC 9126 section
// 2).
func (s *Server) push(w http.ResponseWriter, rec *Request) {
	if rec.Method != http.MethodPost || len(rec.Query) > 0 {
		s.violated(PAR, "%s with %d parameters in the URL: want POST and none", rec.Method, len(rec.Query))
	}
	if s.duplicates(rec, rec.Form) {
		writeError(w, http.StatusBadRequest, "invalid_request", "a parameter stands there more than once")
		return
	}
	if !s.authenticate(rec) {
		writeError(w, http.StatusUnauthorized, "invalid_client", "client authentication failed")
		return
	}
	if rec.Form.Has("request_uri") {
		s.violated(PAR, "request_uri is pushed")
		writeError(w, http.StatusBadRequest, "invalid_request", "request_uri must not be pushed")
		return
	}
	proof, ok := s.checkProof(w, rec, "")
	if !ok {
		return
	}
	params := maps.Clone(rec.Form)
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		delete(params, name)
	}
	if params.Get("client_id") != s.Registered().ID {
		s.violated(PAR, "client_id is %q", params.Get("client_id"))
		writeError(w, http.StatusBadRequest, "invalid_request", "client_id is missing")
		return
	}
	a := &authorization{params: params, uri: "urn:ietf:params:oauth:request_uri:" + token(18), expires: s.now().Add(time.Minute), dpopKey: proof.Thumbprint}
	if jkt := params.Get("dpop_jkt"); jkt != "" && a.dpopKey != "" && jkt != a.dpopKey {
		s.violated(PAR, "dpop_jkt and the DPoP proof name different keys")
		writeError(w, http.StatusBadRequest, "invalid_dpop_proof", "dpop_jkt and the DPoP proof name different keys")
		return
	}
	checked := a
	if object := params.Get("request"); object != "" {
		inner, err := s.requestObject(object, params)
		if err != nil {
			s.violated(PAR, "%v", err)
			writeError(w, http.StatusBadRequest, "invalid_request_object", err.Error())
			return
		}
		checked = &authorization{params: inner}
	}
	s.Leaks.Add("state", checked.params.Get("state"), leak.Browser)
	s.Leaks.Add("nonce", checked.params.Get("nonce"), leak.Browser)
	if wrong, why := s.refusal(checked); wrong != "" {
		s.violated(PAR, "%s: %s", wrong, why)
		writeError(w, http.StatusBadRequest, wrong, why)
		return
	}
	body := map[string]any{"request_uri": a.uri, "expires_in": 60}
	if change := s.current().PushResponse; change != nil {
		change(body)
	}
	if uri, ok := body["request_uri"].(string); ok {
		a.uri = uri
	}
	s.mu.Lock()
	s.pushed[a.uri] = a
	s.mu.Unlock()
	writeJSON(w, http.StatusCreated, body)
}

// Pushed are the parameters of the n-th request pushed so far, from 0.
func (s *Server) Pushed(n int) url.Values {
	requests := s.Requests(PAR)
	if n >= len(requests) {
		return nil
	}
	return requests[n].Form
}
