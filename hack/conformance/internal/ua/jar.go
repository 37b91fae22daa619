package ua

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/publicsuffix"
)

// Cookie is a cookie in the jar.
type Cookie struct {
	Name, Value string
	Host        string // that set it
	HostOnly    bool
	Path        string
	Secure      bool
	HTTPOnly    bool
	SameSite    http.SameSite
	Expires     time.Time // zero: with the session
}

// Jar keeps cookies by the rules of RFC 6265bis and layered cookies.
type Jar struct {
	mu      sync.Mutex
	cookies []Cookie
	seen    []Cookie
	refused []string
}

// maxCookie is the most bytes of name and value that browsers keep (COOK-11).
const maxCookie = 4096

// set takes the cookies of an answer. A cookie that a browser would drop is
// dropped and noted.
func (j *Jar) set(from *url.URL, header http.Header) {
	for _, line := range header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			j.refuse(line, "does not parse")
			continue
		}
		j.store(from, line, c)
	}
}

func (j *Jar) store(from *url.URL, line string, c *http.Cookie) {
	secureOrigin := from.Scheme == "https" || isLocalhost(from.Hostname())
	lower := strings.ToLower(c.Name)
	switch {
	case len(c.Name)+len(c.Value) > maxCookie:
		j.refuse(line, "name and value are longer than 4096 bytes")
		return
	case c.Secure && !secureOrigin:
		j.refuse(line, "Secure from an origin that is not")
		return
	case (strings.HasPrefix(lower, "__secure-") || strings.HasPrefix(lower, "__host-") || strings.HasPrefix(lower, "__http-")) && !c.Secure:
		j.refuse(line, "its prefix needs Secure")
		return
	case strings.HasPrefix(lower, "__host-") && (c.Domain != "" || c.Path != "/"):
		j.refuse(line, "its prefix needs Path=/ and no Domain")
		return
	case (strings.HasPrefix(lower, "__http-") || strings.HasPrefix(lower, "__host-http-")) && !c.HttpOnly:
		j.refuse(line, "its prefix needs HttpOnly")
		return
	case c.SameSite == http.SameSiteNoneMode && !c.Secure:
		j.refuse(line, "SameSite=None needs Secure")
		return
	}
	k := Cookie{Name: c.Name, Value: c.Value, Host: from.Hostname(), HostOnly: c.Domain == "", Path: c.Path,
		Secure: c.Secure, HTTPOnly: c.HttpOnly, SameSite: c.SameSite, Expires: c.Expires}
	if !k.HostOnly {
		k.Host = strings.TrimPrefix(c.Domain, ".")
		if suffix, _ := publicsuffix.PublicSuffix(k.Host); suffix == k.Host || !domainMatch(from.Hostname(), k.Host) {
			j.refuse(line, "its Domain is not one of the host")
			return
		}
	}
	if k.Path == "" || k.Path[0] != '/' {
		k.Path = from.Path[:max(1, strings.LastIndexByte(from.Path, '/'))]
	}
	switch {
	case c.MaxAge < 0:
		k.Expires = time.Unix(1, 0)
	case c.MaxAge > 0:
		k.Expires = time.Now().Add(time.Duration(c.MaxAge) * time.Second)
	}
	j.Put(k)
}

// Put puts a cookie into the jar as it stands, and takes the place of the one of
// that name, host and path. One that has expired is removed.
func (j *Jar) Put(k Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.cookies = slices.DeleteFunc(j.cookies, func(c Cookie) bool {
		return c.Name == k.Name && c.Host == k.Host && c.Path == k.Path
	})
	if k.Expires.IsZero() || k.Expires.After(time.Now()) {
		j.cookies = append(j.cookies, k)
		j.seen = append(j.seen, k)
	}
}

// Seen are all cookies that were ever in the jar.
func (j *Jar) Seen() []Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.seen)
}

func (j *Jar) refuse(line, why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	name, _, _ := strings.Cut(line, "=")
	j.refused = append(j.refused, name+": "+why)
}

// Refused says which cookies a browser would not have kept, and why.
func (j *Jar) Refused() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.refused)
}

// All are the cookies in the jar.
func (j *Jar) All() []Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.cookies)
}

// Value is the value of a cookie, "" if there is none.
func (j *Jar) Value(name string) string {
	for _, c := range j.All() {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// Clear empties the jar.
func (j *Jar) Clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.cookies = nil
}

// header is the Cookie header for a request. crossSite says that another site
// started it, topLevel that it is a navigation by GET (or another safe method).
func (j *Jar) header(to *url.URL, crossSite, topLevel bool) string {
	var pairs []string
	for _, c := range j.All() {
		host := to.Hostname() == c.Host || !c.HostOnly && domainMatch(to.Hostname(), c.Host)
		path := to.Path == c.Path || strings.HasPrefix(to.Path, strings.TrimSuffix(c.Path, "/")+"/")
		secure := !c.Secure || to.Scheme == "https" || isLocalhost(to.Hostname())
		site := !crossSite || c.SameSite == http.SameSiteNoneMode || topLevel && c.SameSite != http.SameSiteStrictMode
		live := c.Expires.IsZero() || c.Expires.After(time.Now())
		if host && path && secure && site && live {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return strings.Join(pairs, "; ")
}

func domainMatch(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain)
}

func isLocalhost(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasPrefix(host, "127.") || host == "::1"
}

// siteOf is scheme and registrable domain of an origin.
func siteOf(u *url.URL) string {
	host := u.Hostname()
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil && !strings.HasPrefix(host, "127.") {
		host = domain
	}
	return u.Scheme + "://" + host
}

// OriginOf is scheme, host and port of a URL.
func OriginOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

// relation is the value of Sec-Fetch-Site between two URLs.
func relation(from, to *url.URL) string {
	switch {
	case OriginOf(from) == OriginOf(to):
		return "same-origin"
	case siteOf(from) == siteOf(to):
		return "same-site"
	}
	return "cross-site"
}
