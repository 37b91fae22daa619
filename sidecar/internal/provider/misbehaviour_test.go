package provider_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"

	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
)

// serve lets answer take the place of one endpoint.
func serve(path string, answer func(http.ResponseWriter)) providertest.Behaviour {
	return providertest.Behaviour{Serve: func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		answer(w)
		return true
	}}
}

// hang lets the client of one endpoint wait until it gives up.
func hang(path string) providertest.Behaviour {
	return providertest.Behaviour{Serve: func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see the client go
		<-r.Context().Done()
		return true
	}}
}

// oversized is a JSON document of 2 MiB.
func oversized(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"x":"`))
	for range 2048 {
		_, _ = w.Write([]byte(strings.Repeat("a", 1024)))
	}
	_, _ = w.Write([]byte(`"}`))
}

// compressed is oversized in a few kilobytes.
func compressed(w http.ResponseWriter) {
	w.Header().Set("Content-Encoding", "gzip")
	zipped := gzip.NewWriter(w)
	defer zipped.Close()
	_, _ = zipped.Write([]byte(`{"x":"` + strings.Repeat("a", 2<<20) + `"}`))
}

// garbage is no HTTP, and quotes a secret in a place that net/http quotes too.
func garbage(w http.ResponseWriter) {
	connection, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer connection.Close()
	_, _ = buffered.WriteString("MARKER MARKER MARKER\r\n\r\n")
	_ = buffered.Flush()
}

// cutShort promises more than it sends.
func cutShort(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "1000")
	_, _ = w.Write([]byte(`{"access_token":"MARKER`))
}

func redirectTo(target string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}
