package flow_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
)

func TestWhoIsAsking(t *testing.T) {
	for name, row := range map[string]struct {
		header           http.Header
		navigation, page bool
	}{
		"browser":                     {http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept": {"text/html,*/*;q=0.8"}}, true, true},
		"browser without destination": {http.Header{"Sec-Fetch-Mode": {"navigate"}}, true, true},
		"through a service worker":    {http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"empty"}}, true, true},
		"FM-05 frame":                 {http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}}, false, true},
		"FM-05 object":                {http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"object"}}, false, true},
		"FM-05 embed":                 {http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"embed"}}, false, true},
		"fetch":                       {http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Accept": {"*/*"}}, false, false},
		"fetch that wants a page":     {http.Header{"Sec-Fetch-Mode": {"same-origin"}, "Accept": {"text/html"}}, false, false},
		"image":                       {http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}, false, false},
		"old browser":                 {http.Header{"Accept": {"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}}, true, true},
		"curl":                        {http.Header{"Accept": {"*/*"}}, true, false},
		"nothing said":                {http.Header{}, true, false},
		"old fetch for JSON":          {http.Header{"Accept": {"application/json"}}, false, false},
		"old fetch with our header":   {http.Header{"Accept": {"*/*"}, "X-Csrf": {"1"}}, false, false},
		"accept nobody can parse":     {http.Header{"Accept": {";;;"}}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := flow.IsNavigation(row.header); got != row.navigation {
				t.Errorf("navigation: %t, want %t", got, row.navigation)
			}
			if got := flow.WantsPage(row.header); got != row.page {
				t.Errorf("wants a page: %t, want %t", got, row.page)
			}
		})
	}
}

func TestAllowed(t *testing.T) {
	for method, want := range map[string]bool{"GET": true, "POST": true, "HEAD": false, "get": false, "": false} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		r.Method = method
		if got := flow.Allowed(w, r, "GET", "POST"); got != want {
			t.Errorf("%q: %t", method, got)
		}
		if !want && (w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, POST") {
			t.Errorf("%q: %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
}
