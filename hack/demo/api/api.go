// Package api is the demo's resource server: a few orders per user, behind verified access tokens. Every answer says
// what the API saw of the request, so that a page or a test can show that a token arrived and a cookie did not.
package api

import (
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"slices"
	"time"
)

// Config is what the API is told.
type Config struct {
	// Issuer of the access tokens to accept.
	Issuer string
	// Audience that must be in their aud.
	Audience string
	// ConnectTo is host:port to dial instead of the issuer's own, with the Host header unchanged. Optional.
	ConnectTo string
	// Logger gets one line per call. Default: nothing is logged.
	Logger *slog.Logger
}

// Answer is the body of every successful answer.
type Answer struct {
	// Claims of the verified access token.
	Claims map[string]any `json:"claims"`
	// Token says which access token it was.
	Token Token `json:"token"`
	// Request is what arrived.
	Request Request `json:"request"`
	// Orders are the user's, newest first. Only from /api/orders.
	Orders []Order `json:"orders,omitempty"`
	// Order is the one just placed.
	Order *Order `json:"order,omitempty"`
	// Catalogue is what can be ordered. Only from /api/orders.
	Catalogue []Product `json:"catalogue,omitempty"`
}

// Request is what the API saw of a request: names only, never the value of a header or cookie.
type Request struct {
	Method  string   `json:"method"`
	Path    string   `json:"path"`
	Cookie  bool     `json:"cookie"` // was there a Cookie header?
	Cookies []string `json:"cookies"`
	Headers []string `json:"headers"`
}

type server struct {
	log      *slog.Logger
	verifier *verifier
	orders   *orders
}

// New returns the API's handler. It serves GET and POST /api/orders and GET /api/whoami.
func New(config Config) http.Handler {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	s := &server{log: config.Logger, verifier: newVerifier(config.Issuer, config.Audience, config.ConnectTo),
		orders: newOrders(time.Now)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/whoami", s.authenticated(s.whoami))
	mux.HandleFunc("GET /api/orders", s.authenticated(s.listOrders))
	mux.HandleFunc("POST /api/orders", s.authenticated(s.placeOrder))
	return mux
}

// authenticated refuses calls without a good access token (RFC 6750 section 3).
func (s *server) authenticated(next func(http.ResponseWriter, *http.Request, Token)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		raw, ok := bearer(r)
		if !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			s.refuse(w, r, http.StatusUnauthorized, "An access token is required.")
			return
		}
		token, err := s.verifier.verify(r.Context(), raw)
		switch {
		case errors.Is(err, errProviderAway):
			w.Header().Set("Retry-After", "2")
			s.log.WarnContext(r.Context(), "identity provider unreachable", slog.Any("error", err))
			s.refuse(w, r, http.StatusServiceUnavailable, "The identity provider's keys are not available.")
		case err != nil:
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			s.refuse(w, r, http.StatusUnauthorized, "The access token is not valid here.")
		default:
			next(w, r, token)
		}
	}
}

func (s *server) whoami(w http.ResponseWriter, r *http.Request, token Token) {
	s.answer(w, r, http.StatusOK, token, Answer{})
}

func (s *server) listOrders(w http.ResponseWriter, r *http.Request, token Token) {
	s.answer(w, r, http.StatusOK, token, Answer{Orders: s.orders.list(token.subject), Catalogue: catalogue})
}

func (s *server) placeOrder(w http.ResponseWriter, r *http.Request, token Token) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		s.refuse(w, r, http.StatusUnsupportedMediaType, "Send application/json.")
		return
	}
	var wanted struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&wanted); err != nil {
		s.refuse(w, r, http.StatusBadRequest, `Send {"sku": "mug", "quantity": 1}.`)
		return
	}
	order, ok := s.orders.add(token.subject, wanted.SKU, wanted.Quantity)
	if !ok {
		s.refuse(w, r, http.StatusUnprocessableEntity, "Choose a sku of the catalogue and a quantity from 1 to 9.")
		return
	}
	s.answer(w, r, http.StatusCreated, token, Answer{Order: &order})
}

func (s *server) answer(w http.ResponseWriter, r *http.Request, status int, token Token, a Answer) {
	a.Claims, a.Token, a.Request = token.claims, token, describe(r)
	s.logCall(r, status, token.subject)
	writeJSON(w, "application/json", status, a)
}

// refuse answers with a problem (RFC 9457).
func (s *server) refuse(w http.ResponseWriter, r *http.Request, status int, detail string) {
	s.logCall(r, status, "")
	writeJSON(w, "application/problem+json", status, map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail})
}

func (s *server) logCall(r *http.Request, status int, subject string) {
	s.log.InfoContext(r.Context(), "call", slog.String("method", r.Method), slog.String("route", r.Pattern),
		slog.Int("status", status), slog.String("subject", subject))
}

func describe(r *http.Request) Request {
	names := []string{}
	for _, cookie := range r.Cookies() {
		names = append(names, cookie.Name)
	}
	return Request{Method: r.Method, Path: r.URL.Path, Cookie: len(r.Header.Values("Cookie")) > 0, Cookies: names,
		Headers: slices.Sorted(maps.Keys(r.Header))}
}

func writeJSON(w http.ResponseWriter, media string, status int, body any) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller has gone; there is nobody to tell
}
