package provider

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
)

// authenticated adds to a form what the provider's endpoints want of every
// request: the client's authentication and, if there is a key, a proof of it.
// It works below x/oauth2, which does not know most ways to authenticate.
//
// A request that is refused for its nonce is made again, once, with everything
// fresh: assertion and proof have been seen and are spent (RFC 9449 section 8,
// JWTA-05, DPOP-01, DPOP-12).
type authenticated struct {
	client   *Client
	endpoint clientauth.Endpoint
	key      *dpop.Key  // nil: no proof
	add      url.Values // further parameters
}

func (c *Client) authenticated(s *snapshot, key *dpop.Key, add url.Values) *http.Client {
	client := *c.http
	client.Transport = authenticated{
		client: c,
		endpoint: clientauth.Endpoint{
			Issuer: c.Issuer(), TokenEndpoint: s.metadata.TokenEndpoint, Algorithms: s.metadata.AuthAlgorithms,
		},
		key: key, add: add,
	}
	return &client
}

func (a authenticated) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, failure("read the request", ReasonRefused, nil)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, failure("read the request", ReasonRefused, nil)
	}
	for name, values := range a.add {
		form[name] = values
	}
	response, retry, err := a.send(r, form)
	if retry {
		response, _, err = a.send(r, form)
	}
	return response, err
}

// send makes one request. retry says that the provider wants it once more with
// the nonce that came with the answer.
func (a authenticated) send(r *http.Request, form url.Values) (_ *http.Response, retry bool, err error) {
	request := r.Clone(r.Context())
	form = cloned(form)
	now := a.client.config.Clock()
	if err := a.client.identity.Authenticate(a.client.credentials(), a.endpoint, now, form, request.Header); err != nil {
		reason := ReasonCredentials
		if !errors.Is(err, clientauth.ErrNoCredentials) {
			reason = ReasonClientRefused
		}
		return nil, false, failure("authenticate the client", reason, err)
	}
	if a.key != nil {
		proof, err := a.key.Proof(dpop.Request{
			Method: r.Method, URL: r.URL.String(), Nonce: a.client.nonces.Of(r.URL), Now: now,
		})
		if err != nil {
			return nil, false, failure("prove the key", ReasonKey, nil)
		}
		request.Header.Set("DPoP", proof)
	}
	encoded := form.Encode()
	request.Body = io.NopCloser(strings.NewReader(encoded))
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(encoded)), nil }
	request.ContentLength = int64(len(encoded))

	response, err := a.client.http.Transport.RoundTrip(request)
	if err != nil || a.key == nil {
		return response, false, err
	}
	a.client.nonces.Note(r.URL, response.Header)
	body, err := bodyOf(response)
	if err != nil {
		return nil, false, err
	}
	return response, dpop.WantsNonce(response.StatusCode, response.Header, body), nil
}

// bodyOf reads an answer that is in memory already, and leaves it to be read
// again.
func bodyOf(response *http.Response) ([]byte, error) {
	body, err := io.ReadAll(response.Body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	return body, err
}

func cloned(form url.Values) url.Values {
	copied := make(url.Values, len(form))
	for name, values := range form {
		copied[name] = append([]string(nil), values...)
	}
	return copied
}

// answer is what an endpoint said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// post sends a form to an endpoint that authenticates the client.
func (c *Client) post(ctx context.Context, attempt string, s *snapshot, endpoint string, key *dpop.Key, form url.Values) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, failure(attempt, ReasonMetadata, errors.New("the endpoint cannot be requested"))
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	response, err := c.authenticated(s, key, nil).Do(request)
	if err != nil {
		return answer{}, callFailure(attempt, err, ReasonRefused)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, callFailure(attempt, err, ReasonRefused)
	}
	return answer{response.StatusCode, response.Header, body}, nil
}
