package subjects

import (
	"io/fs"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/hack/bench/internal/browser"
	"github.com/bff-operator/bff-operator/hack/bench/internal/world"
)

func TestNew(t *testing.T) {
	builds := Programs{Sidecars: []Build{{Name: "before"}, {Name: "after"}}}
	all, err := New(Names, builds)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != len(Names)+1 || all[4].Name != "before" || !all[4].Ours || all[3].Ours {
		t.Errorf("got %d", len(all))
	}
	clients := Clients(all)
	if len(clients) != 6 {
		t.Errorf("%d clients for 6 subjects with sessions", len(clients))
	}
	for _, c := range clients {
		if c.Secret == "" || !strings.HasPrefix(c.RedirectURIs[0], "http://127.0.0.1:") {
			t.Errorf("got %+v", c)
		}
	}
	for name, names := range map[string][]string{"an unknown name": {"caddy"}, "the same twice": {NGINX, NGINX}} {
		if _, err := New(names, builds); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := New([]string{NGINX, Sidecar}, Programs{Sidecars: []Build{{Name: NGINX}}}); err == nil {
		t.Error("a build with the name of a peer was accepted")
	}
}

func TestEveryTemplateIsComplete(t *testing.T) {
	templates, err := fs.ReadDir(files, "files")
	if err != nil {
		t.Fatal(err)
	}
	w := &world.World{Dir: t.TempDir(), Upstream: "127.0.0.1:1", Redis: "127.0.0.1:2", Person: browser.Person{Issuer: "http://127.0.0.1:3"}}
	s := &Subject{Name: "x", Address: "127.0.0.1:4", secret: "s"}
	for _, file := range templates {
		path, err := s.configure(w, file.Name(), s.settings(w))
		if err != nil {
			t.Error(err)
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(text), "{{") || !strings.Contains(string(text), s.Address) {
			t.Errorf("%s: %v\n%s", file.Name(), err, text)
		}
	}
}

func TestTheCallHasTheSessionBetweenOtherCookies(t *testing.T) {
	h := http.Header{}
	for _, f := range fetch("http://a", "session=1; chunk=2") {
		h.Add(f.Name, f.Value)
	}
	if got := h.Get("Cookie"); got != "theme=dark; session=1; chunk=2; lang=en-US" {
		t.Errorf("got %q", got)
	}
	if len(h) != 13 || h.Get("X-Csrf") != "1" || h.Get("Sec-Fetch-Site") != "same-origin" {
		t.Errorf("got %v", h)
	}
	if got := fetch("http://a", "")[12].Value; got != "theme=dark; lang=en-US" {
		t.Errorf("got %q", got)
	}
}
