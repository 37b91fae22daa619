package login

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

// TransactionCookiePrefix begins the name of every transaction's cookie. The
// rest identifies the transaction's state and does not reveal it.
const TransactionCookiePrefix = "__Host-Http-bff-tx-"

const (
	// transactionIDSize is how much of the state's hash stands in the name, and
	// transactionIDLength that in base64url.
	transactionIDSize   = 12
	transactionIDLength = 16

	// What a browser may hold of pending logins, so that the Cookie header stays
	// below what servers and proxies in front accept, which is 8 KiB at the least
	// (COOK-11). With an ordinary returnTo, eight transactions fit.
	maxTransactions     = 8
	maxTransactionBytes = 6 << 10

	// maxOpened bounds the work for a browser that sends more than it was given.
	maxOpened = 32
)

func transactionCookieName(state string) string {
	sum := sha256.Sum256([]byte(state))
	return TransactionCookiePrefix + base64.RawURLEncoding.EncodeToString(sum[:transactionIDSize])
}

// sameSite of a transaction's cookie is not Strict: it has to come along when
// the provider, which is another site, sends the browser back. A form that is
// posted there gets no Lax cookie either (COOK-07).
func sameSite(formPost bool) http.SameSite {
	if formPost {
		return http.SameSiteNoneMode
	}
	return http.SameSiteLaxMode
}

func (h *Handler) transactionCookie(name, value string) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(transactionLifetime / time.Second),
		Secure: true, HttpOnly: true, SameSite: sameSite(h.formPost),
	}
}

func (h *Handler) expiredTransactionCookie(name string) *http.Cookie {
	cookie := h.transactionCookie(name, "")
	cookie.MaxAge = -1
	return cookie
}

// pending is a transaction cookie that a browser holds.
type pending struct {
	name    string
	size    int       // of name and value, in bytes
	created time.Time // zero if it could not be opened
}

// pendingIn lists the transaction cookies of a request.
func (s sealer) pendingIn(r *http.Request) []pending {
	var found []pending
	for _, cookie := range r.Cookies() {
		id, ok := strings.CutPrefix(cookie.Name, TransactionCookiePrefix)
		if !ok || !isToken(id, transactionIDLength) {
			continue
		}
		p := pending{name: cookie.Name, size: len(cookie.Name) + len(cookie.Value)}
		if len(found) < maxOpened {
			if t, err := s.open(cookie.Name, cookie.Value); err == nil {
				p.created = time.Unix(t.Created, 0)
			}
		}
		found = append(found, p)
	}
	return found
}

// evict returns the names of the transactions that have to go for another one
// of the given size: those that are over, and then the oldest until there is
// room. One that cannot be opened may belong to a key that has not arrived here
// yet, so it stays while there is room, but counts as the oldest.
func evict(held []pending, size int, now time.Time) []string {
	var gone []string
	kept := make([]pending, 0, len(held))
	total := size
	for _, p := range held {
		if !p.created.IsZero() && now.Sub(p.created) >= transactionLifetime {
			gone = append(gone, p.name)
			continue
		}
		kept = append(kept, p)
		total += p.size
	}
	slices.SortStableFunc(kept, func(a, b pending) int { return a.created.Compare(b.created) })
	for len(kept) > 0 && (len(kept)+1 > maxTransactions || total > maxTransactionBytes) {
		gone, total, kept = append(gone, kept[0].name), total-kept[0].size, kept[1:]
	}
	return gone[:min(len(gone), maxOpened)]
}
