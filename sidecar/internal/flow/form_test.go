package flow_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
)

func TestForm(t *testing.T) {
	const urlencoded = "application/x-www-form-urlencoded"
	for name, row := range map[string]struct {
		header http.Header
		body   string
		want   error
	}{
		"a form":             {http.Header{"Content-Type": {urlencoded}}, "a=1&b=%zz", nil},
		"with a charset":     {http.Header{"Content-Type": {"Application/X-WWW-Form-Urlencoded; charset=UTF-8"}}, "a=1", nil},
		"as large as may be": {http.Header{"Content-Type": {urlencoded}}, strings.Repeat("x", 20), nil},
		"too large":          {http.Header{"Content-Type": {urlencoded}}, strings.Repeat("x", 21), flow.ErrBody},
		"no type":            {nil, "a=1", flow.ErrNotForm},
		"another type":       {http.Header{"Content-Type": {"text/plain"}}, "a=1", flow.ErrNotForm},
		"two types":          {http.Header{"Content-Type": {urlencoded, urlencoded}}, "a=1", flow.ErrNotForm},
		"compressed":         {http.Header{"Content-Type": {urlencoded}, "Content-Encoding": {"gzip"}}, "a=1", flow.ErrNotForm},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/?c=3", strings.NewReader(row.body))
		r.Header = row.header
		got, err := flow.Form(httptest.NewRecorder(), r, 20)
		if !errors.Is(err, row.want) || err == nil && got != row.body {
			t.Errorf("%s: %q, %v, want %v", name, got, err, row.want)
		}
	}
}

// A body that does not come holds nobody for long.
func TestSlowForm(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	t.Parallel()
	result := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := flow.Form(w, r, 1000)
		result <- err
	}))
	defer server.Close()
	body, never := io.Pipe()
	defer never.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	go func() {
		if answer, err := http.DefaultClient.Do(r); err == nil {
			answer.Body.Close()
		}
	}()
	select {
	case err := <-result:
		if !errors.Is(err, flow.ErrBody) {
			t.Errorf("%v", err)
		}
	case <-time.After(2 * flow.FormTime):
		t.Error("it still waits")
	}
}

// While the request is being answered, nothing expires.
func TestFormLeavesNoDeadline(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := flow.Form(w, r, 1000); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Context().Done():
			t.Error("the browser counts as gone")
		case <-time.After(flow.FormTime + time.Second): // longer than the deadline, which is the point
		}
	}))
	defer server.Close()
	answer, err := http.Post(server.URL, "application/x-www-form-urlencoded", strings.NewReader("a=1"))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}
