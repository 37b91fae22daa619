package loadbrowser

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Site is an application behind several replicas, and its provider.
type Site struct {
	// Host is what browsers call the application.
	Host string
	// Replicas and Provider are host:port.
	Replicas []string
	Provider string
	// SIDHeader is the field in which the provider tells a session's sid.
	SIDHeader string
}

// Session is a session as a browser has it, and what its provider calls it.
type Session struct {
	// Cookie is the pair for the Cookie field.
	Cookie string
	SID    string
}

// Browser has one connection to each replica and to the provider. It is for one
// goroutine at a time.
type Browser struct {
	site     Site
	replicas []*Conn
	provider *Conn
}

// New makes a browser.
func New(site Site) *Browser {
	b := &Browser{site: site, provider: &Conn{Address: site.Provider}}
	for _, address := range site.Replicas {
		b.replicas = append(b.replicas, &Conn{Address: address})
	}
	return b
}

// Close ends its connections.
func (b *Browser) Close() {
	for _, c := range append(b.replicas[:len(b.replicas):len(b.replicas)], b.provider) {
		c.Close()
	}
}

// Replica is the connection to one of the replicas, whatever the number.
func (b *Browser) Replica(n int) *Conn { return b.replicas[n%len(b.replicas)] }

// Login logs in: login at one replica, on to the provider, and back to the
// replica after that one (RFC 6749 section 4.1).
func (b *Browser) Login(ctx context.Context, replica int) (Session, error) {
	begun, err := b.Replica(replica).Do(ctx, Navigate("same-origin", b.site.Host, "/bff/login?returnTo=/", ""))
	if err != nil {
		return Session{}, err
	}
	ask, err := redirect(begun, "login")
	if err != nil {
		return Session{}, err
	}
	transaction := cookies(begun.Header)
	if transaction == "" {
		return Session{}, errors.New("login set no cookie")
	}
	answered, err := b.provider.Do(ctx, Navigate("cross-site", ask.Host, ask.RequestURI(), ""))
	if err != nil {
		return Session{}, err
	}
	back, err := redirect(answered, "the provider")
	if err != nil {
		return Session{}, err
	}
	ended, err := b.Replica(replica+1).Do(ctx, Navigate("cross-site", b.site.Host, back.RequestURI(), transaction))
	if err != nil {
		return Session{}, err
	}
	session := Session{Cookie: sessionCookie(ended.Header), SID: answered.Header.Get(b.site.SIDHeader)}
	if ended.Status != http.StatusOK || session.Cookie == "" {
		return Session{}, fmt.Errorf("callback: status %d, session cookie set: %t", ended.Status, session.Cookie != "")
	}
	return session, nil
}

// Call is one authenticated call of an API at a replica. It returns the status.
func (b *Browser) Call(ctx context.Context, replica int, s Session) (int, error) {
	a, err := b.Replica(replica).Do(ctx, Fetch("GET", b.site.Host, "/api/json", s.Cookie))
	return a.Status, err
}

// Logout logs out at a replica. It returns the status.
func (b *Browser) Logout(ctx context.Context, replica int, s Session) (int, error) {
	r := Fetch("POST", b.site.Host, "/bff/logout", s.Cookie)
	r.Fields = append(r.Fields, "Content-Length: 0")
	a, err := b.Replica(replica).Do(ctx, r)
	return a.Status, err
}

// BackChannel is the provider telling a replica that a session is over. It
// returns the status.
func (b *Browser) BackChannel(ctx context.Context, replica int, logoutToken string) (int, error) {
	body := url.Values{"logout_token": {logoutToken}}.Encode()
	a, err := b.Replica(replica).Do(ctx, Request{Method: "POST", Target: "/bff/backchannel-logout", Host: b.site.Host, Body: body,
		Fields: []string{"Content-Type: application/x-www-form-urlencoded", "Content-Length: " + strconv.Itoa(len(body))}})
	return a.Status, err
}

func redirect(a Answer, who string) (*url.URL, error) {
	if a.Status != http.StatusSeeOther && a.Status != http.StatusFound {
		return nil, fmt.Errorf("%s: status %d instead of a redirect", who, a.Status)
	}
	target, err := url.Parse(a.Header.Get("Location"))
	if err != nil {
		return nil, fmt.Errorf("%s: its redirect leads nowhere", who) // the URL may hold a code
	}
	return target, nil
}

// cookies are the pairs that an answer sets, for the Cookie field.
func cookies(h http.Header) string {
	var pairs []string
	for _, line := range h["Set-Cookie"] {
		if c, err := http.ParseSetCookie(line); err == nil && c.MaxAge >= 0 && c.Value != "" {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return strings.Join(pairs, "; ")
}

// sessionName is the session cookie's name.
const sessionName = "__Host-Http-bff"

func sessionCookie(h http.Header) string {
	for _, line := range h["Set-Cookie"] {
		if c, err := http.ParseSetCookie(line); err == nil && c.Name == sessionName && c.Value != "" {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}
