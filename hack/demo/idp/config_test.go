package idp

import (
	"strings"
	"testing"
)

func TestIssuer(t *testing.T) {
	for issuer, ok := range map[string]bool{
		"https://id.example.com":       true,
		"https://id.example.com:8443":  true,
		"http://localhost:8090":        true,
		"http://id.localhost:8090":     true,
		"http://127.0.0.1:8090":        true,
		"http://[::1]:8090":            true,
		"http://id.example.com":        false,
		"http://localhost.example.com": false,
		"http://notlocalhost":          false,
		"http://10.0.0.1":              false,
		"https://id.example.com/":      false,
		"https://id.example.com/realm": false,
		"https://id.example.com?x=1":   false,
		"https://id.example.com#x":     false,
		"https://u@id.example.com":     false,
		"id.example.com":               false,
		"ftp://id.example.com":         false,
		"":                             false,
	} {
		config := testConfig()
		config.Issuer = issuer
		if _, err := New(config); (err == nil) != ok {
			t.Errorf("issuer %q: %v", issuer, err)
		} else if err != nil && !strings.Contains(err.Error(), "use ") {
			t.Errorf("issuer %q: the error does not say what to write: %v", issuer, err)
		}
	}
}

func TestConfigMistakesAreReportedTogether(t *testing.T) {
	_, err := New(Config{Issuer: "http://id.example.com", Clients: []Client{
		{ID: "a"},
		{ID: "b", Secret: "s"},
		{ID: "c", Secret: "s", RedirectURIs: []string{"/relative"}},
		{ID: "d", Secret: "s", RedirectURIs: []string{"https://a/b#c"}},
		{ID: "e", Secret: "s", RedirectURIs: []string{"https://a/b"}, AuthMethod: "none"},
		{ID: "f", Secret: "s", RedirectURIs: []string{"https://a/b"}, Audience: []string{"f"}},
		{ID: "g", Secret: "s", RedirectURIs: []string{"https://a/b"}},
		{ID: "g", Secret: "s", RedirectURIs: []string{"https://a/b"}},
	}, Users: []User{{Username: "u", Password: "p"}, {Username: "v", Password: "p", Subject: "u"}, {Username: "w"}}, AccessTokenLifetime: -1})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"issuer", "clients[0]", "clients[1]", "clients[2]", "clients[3]", "clients[4]", "clients[5]",
		"clients[7]", "users[1]", "users[2]", "lifetimes"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not reported in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "clients[6]") || strings.Contains(err.Error(), "users[0]") {
		t.Errorf("something right is reported: %v", err)
	}
}

func TestProviderNeedsClientsAndUsers(t *testing.T) {
	config := testConfig()
	config.Clients, config.Users = nil, nil
	if _, err := New(config); err == nil || !strings.Contains(err.Error(), "clients") || !strings.Contains(err.Error(), "users") {
		t.Errorf("got %v", err)
	}
}
