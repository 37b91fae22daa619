package logout

import (
	"net/http"
	"time"
)

// ticketCookieName is the cookie that takes the browser from Logout to Continue.
// Its value names the parked ID token and opens it, once. No script can read it,
// and no other site can make the browser send it.
const ticketCookieName = "__Host-Http-bff-logout"

// ticketTime is how long the rest of a logout may be waited for.
const ticketTime = time.Minute

func ticketCookie(ticket string) *http.Cookie {
	return &http.Cookie{
		Name: ticketCookieName, Value: ticket, Path: "/", MaxAge: int(ticketTime / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

func expiredTicketCookie() *http.Cookie {
	cookie := ticketCookie("")
	cookie.MaxAge = -1
	return cookie
}
