package login

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A login loop is a page that sends the browser to log in as soon as it comes
// back from a login, because what it asks for is still not there. The provider
// has the user logged in, so nobody would ever stop it.
//
// The chain is how many logins followed each other like that. Tabs that log in
// side by side make none, since none of them begins after another has ended.
const (
	// loopWindow is how soon after the end of a login the next one belongs to the
	// same chain. Who uses the application for longer than that is in no loop.
	loopWindow = 30 * time.Second
	// maxChain is how long a chain may get.
	maxChain = 5
)

// chainCookieName is the cookie that remembers the last login that ended: its
// place in the chain, and when. It is not sealed: it says nothing about anybody,
// its prefix keeps other hosts and scripts from setting it, and a browser that
// forges it switches off its own brake.
const chainCookieName = "__Host-Http-bff-chain"

func chainCookie(value string) *http.Cookie {
	return &http.Cookie{
		Name: chainCookieName, Value: value, Path: "/", MaxAge: int(loopWindow / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// endedChain remembers that a login ended which was the chain's n-th.
func endedChain(n int, now time.Time) *http.Cookie {
	return chainCookie(strconv.Itoa(n) + "." + strconv.FormatInt(now.Unix(), 10))
}

func expiredChainCookie() *http.Cookie {
	cookie := chainCookie("")
	cookie.MaxAge = -1
	return cookie
}

// chainOf is the place in the chain of a login that begins now: 1 unless
// another one has just ended.
func chainOf(r *http.Request, now time.Time) int {
	cookies := r.CookiesNamed(chainCookieName)
	if len(cookies) != 1 {
		return 1
	}
	place, ended, ok := parseChain(cookies[0].Value)
	if !ok || now.Sub(ended) >= loopWindow {
		return 1
	}
	return place + 1
}

func parseChain(value string) (place int, ended time.Time, ok bool) {
	number, seconds, _ := strings.Cut(value, ".")
	place, err := strconv.Atoi(number)
	if err != nil || place < 1 || place > maxChain {
		return 0, time.Time{}, false
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return 0, time.Time{}, false
	}
	return place, time.Unix(unix, 0), true
}
