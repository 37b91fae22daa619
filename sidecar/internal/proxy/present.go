package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
	"github.com/bff-operator/bff-operator/sidecar/internal/upstream"
)

// errPresent says that a token is there and cannot be presented.
var errPresent = errors.New("the access token cannot be presented")

// call is one call on its way to its upstream. It sends the session's token
// along, and once more after a 401 if that can help and the body is still
// there.
type call struct {
	calls  *Calls
	route  *Route
	path   Path
	sess   *session.Session
	access token.Access // zero if the route gets none
	// authorization is the header of that name, ready made; nil if access is bound
	// to a key.
	authorization []string
	key           *dpop.Key // nil unless access is bound to one
	body          []byte    // if it was kept
	id            string    // the request's identifier
	hop           hop
}

// use takes the route's token from a session.
func (c *call) use(sess *session.Session) error {
	c.sess = sess
	if c.route.Token != v1alpha1.TokenAccess {
		return nil
	}
	access, ok := sess.Tokens.For(c.route.Target)
	if !ok {
		return fmt.Errorf("%w: the session has none for route %q", errPresent, c.route.Name)
	}
	c.access, c.key, c.authorization = access, nil, nil
	switch access.Type {
	case token.Bearer, "":
		if c.authorization, ok = sess.Authorization(c.route.Target); !ok {
			c.authorization = []string{string(token.Bearer) + " " + access.Token}
		}
		return nil
	case token.DPoP:
		key, err := dpop.ParseKey(sess.Tokens.Key)
		if err != nil {
			return fmt.Errorf("%w: %w", errPresent, err)
		}
		c.key = key
		return nil
	}
	return fmt.Errorf("%w: its type is unknown", errPresent)
}

// RoundTrip sends the call, and again where that can help: after a connection
// that was lost, a nonce that is wanted, a token that is refused. None of these
// counts more than once.
func (c *call) RoundTrip(out *http.Request) (*http.Response, error) {
	if c.access.Token == "" {
		return c.route.Transport.RoundTrip(out)
	}
	replayable := out.Body == nil || c.body != nil
	lost, nonce, renewed := false, false, false
	for {
		if err := c.present(out); err != nil {
			return nil, c.calls.refusal(err)
		}
		answer, err := c.route.Transport.RoundTrip(out)
		if err != nil {
			if lost || out.Body != upstream.Unrepeatable || !lostConnection(err) || out.Context().Err() != nil {
				return nil, err
			}
			lost, out = true, c.again(out)
			continue
		}
		if c.key != nil {
			c.calls.Nonces.Note(c.route.Upstream, answer.Header) // DPOP-14
		}
		if answer.StatusCode != http.StatusUnauthorized {
			return answer, nil
		}
		again := false
		switch challenges := answer.Header["Www-Authenticate"]; {
		case !nonce && c.key != nil && dpop.WantsNonce(answer.StatusCode, answer.Header, nil):
			nonce, again = true, true // DPOP-13
		case !renewed && refusesToken(challenges, c.scheme()):
			renewed = true
			again, err = c.renew(problem.WithRequestID(out.Context(), c.id))
		default:
			err = c.stepUp(challenges)
		}
		if err == nil && again && !replayable {
			err = refusal(sendAgain)
		}
		if err == nil && !again {
			return answer, nil
		}
		answer.Body.Close()
		if err != nil {
			return nil, err
		}
		out = c.again(out)
	}
}

// scheme is how the token is presented.
func (c *call) scheme() string {
	if c.key != nil {
		return string(token.DPoP)
	}
	return string(token.Bearer)
}

// present puts the token into a request, with a proof of its own if it is bound
// to a key (DPOP-01). The proof is of the request as the upstream sees it
// (DPOP-03).
func (c *call) present(out *http.Request) error {
	if c.key == nil {
		out.Header["Authorization"] = c.authorization
		return nil
	}
	out.Header["Authorization"] = []string{string(token.DPoP) + " " + c.access.Token} // DPOP-10
	proof, err := c.key.Proof(dpop.Request{
		Method: out.Method, URL: c.route.origin + c.path.Escaped, AccessToken: c.access.Token,
		Nonce: c.calls.Nonces.Of(c.route.Upstream), Now: c.calls.Clock(),
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errPresent, err)
	}
	out.Header["Dpop"] = []string{proof}
	if out.Body == nil && safe(out.Method) {
		// The server may have seen the proof when a connection turns out to be dead,
		// and each is good for one request. RoundTrip repeats it with another.
		out.Body = upstream.Unrepeatable
	}
	return nil
}

// safe is RFC 9110 section 9.2.1, without TRACE, which never gets here. These
// are the methods that the transport repeats, and of which it finds out that
// they have no body.
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// lostConnection says whether a connection was there and broke, as one does that
// the server has just closed for want of use.
func lostConnection(err error) bool {
	operation, ok := errors.AsType[*net.OpError](err)
	return !timedOut(err) && (!ok || operation.Op != "dial")
}

// again is a request to send once more. The transport may still be at the
// header and body of the first.
func (c *call) again(out *http.Request) *http.Request {
	next := out.Clone(out.Context())
	if c.body != nil {
		next.Body = io.NopCloser(bytes.NewReader(c.body))
	}
	return next
}

// renew gets another token after the upstream has refused this one (OA-08). It
// says whether there is another.
func (c *call) renew(ctx context.Context) (another bool, err error) {
	sess, err := c.calls.Sessions.Renew(ctx, c.sess, c.route.Target, c.calls.Refresh)
	switch {
	case isOver(err):
		return false, c.calls.refusal(err)
	case err != nil:
		// The upstream's own answer is as good as any.
		c.calls.Logger.LogAttrs(ctx, slog.LevelWarn, "a refused access token could not be renewed",
			slog.String("requestID", c.id), slog.Any("error", err))
		return false, nil
	}
	refused := c.access.Token
	if err := c.use(sess); err != nil {
		return false, c.calls.refusal(err)
	}
	return c.access.Token != refused, nil
}

// stepUp turns an upstream's wish for another authentication into an answer that
// a page can act on (STEP-01, STEP-03). Without one the upstream's own answer
// stands.
func (c *call) stepUp(challenges []string) error {
	want, ok := stepUpOf(challenges)
	if !ok || !want.allowedBy(c.calls.StepUp) || want.fulfilledBy(c.sess, c.calls.Clock()) {
		return nil
	}
	login := want.loginURL(c.calls.LoginURL)
	return refusal(func(w http.ResponseWriter, r *http.Request) {
		problem.StepUpRequired.Write(w, r, "The service behind this route wants a stronger or fresher login. Navigate to loginURL, with returnTo added to it.",
			problem.LoginURL(login))
	})
}

// request implements behind.
func (c *call) request(h http.Header) { scrub(h, ofCalls) }

// keep implements behind. A call with a token may have to be sent twice.
func (c *call) keep(body []byte) { c.body = body }

// response implements behind.
func (c *call) response(answer *http.Response) {
	h := answer.Header
	scrubAnswer(h)
	private(h, noStore)
	if values := h["Www-Authenticate"]; len(values) > 0 {
		if values = withoutDPoP(values); len(values) == 0 {
			delete(h, "Www-Authenticate")
		} else {
			h["Www-Authenticate"] = values
		}
	}
}

// stream implements behind.
func (c *call) stream(answer *http.Response) io.ReadCloser {
	return c.calls.stream(answer.Request.Context(), answer.Body, c.sess)
}

// failed implements behind.
func (c *call) failed(w http.ResponseWriter, r *http.Request, timedOut bool) {
	unreachable(w, r, timedOut)
}

// sendAgain answers a call that was refused for want of a nonce or of a valid
// token, where there is one now, and whose body has gone.
func sendAgain(w http.ResponseWriter, r *http.Request) {
	problem.SendAgain.Write(w, r, "The service behind this route wanted other credentials, which are there now. Send the request again.")
}
