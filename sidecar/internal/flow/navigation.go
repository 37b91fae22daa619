package flow

import (
	"mime"
	"net/http"
	"strings"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
)

// IsNavigation says whether a request is a browser going to a page of its own,
// as against a script's fetch or a frame (FM-05). Browsers say so; where they
// do not, a request passes unless it shows that a script made it.
//
// A navigation that a service worker of the application passes on has lost its
// destination, which is then called empty (Fetch Standard section 5.4). No
// script can make a request whose mode is navigate, so that it is still one.
func IsNavigation(h http.Header) bool {
	if mode := h.Get("Sec-Fetch-Mode"); mode != "" {
		destination := h.Get("Sec-Fetch-Dest")
		return mode == "navigate" && (destination == "" || destination == "document" || destination == "empty")
	}
	accept := h.Get("Accept")
	return h.Get("X-CSRF") == "" && (accept == "" || accepts(accept, "text/html", "application/xhtml+xml", "text/*", "*/*"))
}

// WantsPage says whether a person is going to read the answer.
func WantsPage(h http.Header) bool {
	if mode := h.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return h.Get("X-CSRF") == "" && accepts(h.Get("Accept"), "text/html", "application/xhtml+xml")
}

func accepts(accept string, types ...string) bool {
	for element := range strings.SplitSeq(accept, ",") {
		got, _, err := mime.ParseMediaType(element)
		for _, want := range types {
			if err == nil && got == want {
				return true
			}
		}
	}
	return false
}

// Allowed refuses every method but those named.
func Allowed(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, method := range methods {
		if r.Method == method {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	problem.MethodNotAllowed.Write(w, r, "Use "+strings.Join(methods, " or ")+".")
	return false
}
