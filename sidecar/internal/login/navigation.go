package login

import (
	"mime"
	"net/http"
	"strings"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
)

// isNavigation says whether a request is a browser going to a page of its own,
// as against a script's fetch or a frame (FM-05). Browsers say so; where they
// do not, a request passes unless it shows that a script made it.
func isNavigation(h http.Header) bool {
	if mode := h.Get("Sec-Fetch-Mode"); mode != "" {
		destination := h.Get("Sec-Fetch-Dest")
		return mode == "navigate" && (destination == "" || destination == "document")
	}
	accept := h.Get("Accept")
	return h.Get("X-CSRF") == "" && (accept == "" || accepts(accept, "text/html", "application/xhtml+xml", "text/*", "*/*"))
}

// wantsPage says whether a person is going to read the answer.
func wantsPage(h http.Header) bool {
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

// allowed refuses every method but those named.
func allowed(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, method := range methods {
		if r.Method == method {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	problem.MethodNotAllowed.Write(w, r, "Use "+strings.Join(methods, " or ")+".")
	return false
}
