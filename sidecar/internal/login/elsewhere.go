package login

import (
	"maps"
	"net/http"
	"net/url"
)

// heldBack says whether the browser has held cookies back, because another site
// began this navigation. Coming again from a page of ours it shows its session,
// which would otherwise outlive the login that replaces it (GAP-03), and its
// pending logins, of which there would be no end otherwise (GAP-04). A POST comes
// from elsewhere whatever the browser says: no page of ours has such a form.
func heldBack(r *http.Request) bool {
	return r.Method == http.MethodPost || r.Header.Get("Sec-Fetch-Site") == "cross-site"
}

// fromElsewhere says whether another origin began this navigation. A sibling's
// page is another origin too (FM-03), though nothing is held back from it.
func fromElsewhere(r *http.Request) bool {
	return heldBack(r) || r.Header.Get("Sec-Fetch-Site") == "same-site"
}

// paramElsewhere marks a login that another origin began, on its further ways
// here. Who is logged in already is not logged in again for another's sake: the
// provider may have somebody else's session by now, which would take the place
// of the user's own in silence (GAP-04).
const paramElsewhere = "elsewhere"

// marked are parameters to ask for the login with once more, which stays one
// that another origin began.
func (w wanted) marked(parameters url.Values) url.Values {
	if !w.elsewhere {
		return parameters
	}
	marked := url.Values{paramElsewhere: {"1"}}
	maps.Copy(marked, parameters)
	return marked
}
