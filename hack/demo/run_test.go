package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// start runs the command until the test ends, and returns the address that it logs.
func start(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, args, w)
		w.CloseWithError(io.EOF)
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run %v ended with %v, want a clean stop", args, err)
		}
	})
	address := make(chan string, 1)
	go func() {
		defer close(address)
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			var line struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
				address <- line.Address
			}
		}
	}()
	select {
	case a := <-address:
		if a != "" {
			return a
		}
	case <-time.After(10 * time.Second):
	}
	t.Fatalf("run %v does not listen", args)
	return ""
}

func status(t *testing.T, url string) int {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

func TestEveryPartServes(t *testing.T) {
	config := filepath.Join(t.TempDir(), "idp.yaml")
	write(t, config, "issuer: http://id.localhost:8090\nclients: [{id: shop, secret: s, redirectURIs: ['http://localhost:8080/bff/callback']}]\n")
	for part, test := range map[string]struct {
		args []string
		path string
		want int
	}{
		"idp": {[]string{"--config=" + config}, "/.well-known/openid-configuration", http.StatusOK},
		"api": {[]string{"--issuer=http://id.localhost:8090", "--audience=shop-api"}, "/api/orders", http.StatusUnauthorized},
		"web": {nil, "/main.js", http.StatusOK},
	} {
		t.Run(part, func(t *testing.T) {
			address := start(t, append([]string{part, "--listen=127.0.0.1:0"}, test.args...)...)
			for path, want := range map[string]int{"/healthz": http.StatusOK, test.path: test.want} {
				if got := status(t, "http://"+address+path); got != want {
					t.Errorf("%s: status %d, want %d", path, got, want)
				}
			}
		})
	}
}

func TestWrongUseIsExplained(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "idp, api or web"},
		{[]string{"cook"}, "idp, api or web"},
		{[]string{"idp"}, "--config is required"},
		{[]string{"api", "--issuer=http://localhost"}, "--audience is required"},
		{[]string{"web", "extra"}, `unexpected argument "extra"`},
		{[]string{"web", "--nope"}, "nope"},
		{[]string{"web", "--listen=nowhere"}, `listen on "nowhere"`},
		{[]string{"idp", "--config=/does/not/exist"}, "read configuration"},
	} {
		if err := run(t.Context(), test.args, io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, want %q", test.args, err, test.want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"idp", "--help"}, {"api", "-h"}, {"web", "--help"}} {
		var out strings.Builder
		if err := run(t.Context(), args, &out); err != nil || out.Len() == 0 {
			t.Errorf("%v: %v, %q", args, err, out.String())
		}
	}
}

func TestIDPConfigFile(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	write(t, secret, "from-file\n")
	load := func(content string) (string, error) {
		path := filepath.Join(dir, "c.yaml")
		write(t, path, content)
		config, err := loadIDPConfig(path)
		if err != nil {
			return "", err
		}
		return config.Clients[0].Secret + " " + config.AccessTokenLifetime.String() + " " + config.Users[0].Username, nil
	}
	if got, err := load("clients: [{id: shop, secretFile: " + secret + "}]\naccessTokenLifetime: 90s\n"); err != nil || got != "from-file 1m30s alice" {
		t.Errorf("got %q, %v", got, err)
	}
	for content, want := range map[string]string{
		"clients: [{id: shop, secret: s, secretFile: " + secret + "}]": "not both",
		"clients: [{id: shop, secretFile: /does/not/exist}]":           "clients[0]: read client secret",
		"clients: [{id: shop}]\naccessTokenLifetime: soon":             "write a duration such as 60s",
		"client: []": "unknown field",
	} {
		if _, err := load(content); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
