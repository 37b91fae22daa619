package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/bff-operator/bff-operator/hack/demo/idp"
)

// describe says what runs where, and what to do next.
func (m *machine) describe(w io.Writer) {
	spec := &m.source.Current().Policy.Spec
	fmt.Fprintf(w, "\n  Open        %s\n", spec.PublicURL)
	if m.provider == builtin {
		var users []string
		for _, u := range idp.DemoUsers() {
			users = append(users, u.Username+" / "+u.Password)
		}
		fmt.Fprintf(w, "  Log in as   %s\n", strings.Join(users, "   or   "))
	}
	fmt.Fprintf(w, "\n  Application          http://%s%s\n", m.app, comesAlong(m.pageListener != nil))
	fmt.Fprintf(w, "  Identity provider    %s%s\n", spec.Provider.IssuerURL, comesAlong(m.provider == builtin))
	for _, r := range spec.Routes {
		fmt.Fprintf(w, "  Route %-14s %s%s -> %s\n", r.Name, spec.PublicURL, r.Path, r.Upstream.URL)
	}
	fmt.Fprintf(w, "  Sidecar's endpoints  %s%s/{login,session,logout}\n", spec.PublicURL, spec.Endpoints.BasePath)
	fmt.Fprintf(w, "  Status and metrics   http://%s/status, /metrics\n", m.adminListener.Addr())
	if len(m.first.changes) > 0 {
		fmt.Fprintf(w, "\n  On this machine, other than %s says:\n", m.policyFile)
		for _, c := range m.first.changes {
			fmt.Fprintf(w, "  - %s\n", c)
		}
	}
	fmt.Fprintf(w, "\n  Edit %s and it is in force a second later. Ctrl-C ends everything.\n\n", m.policyFile)
}

func comesAlong(yes bool) string {
	if yes {
		return "  (built in)"
	}
	return ""
}
