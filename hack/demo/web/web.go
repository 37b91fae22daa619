// Package web serves a single-page application's files.
package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// contentSecurityPolicy lets the page load what its own origin serves and nothing else: no inline script or style, no
// frame, and no way to turn a string into markup or code.
const contentSecurityPolicy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// types are the media types of what a page without a build step is made of. They are written out because the
// system's own table differs from machine to machine.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".svg":  "image/svg+xml",
	".png":  "image/png",
	".txt":  "text/plain; charset=utf-8",
}

type file struct {
	content []byte
	media   string
	etag    string
}

// New returns a handler for the files. "/" and every path that is no file and has no dot in its last segment get
// index.html, so that deep links work; other unknown paths get 404. Files are read once, here.
func New(files fs.FS) (http.Handler, error) {
	loaded := map[string]file{}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		media, ok := types[path.Ext(name)]
		if !ok {
			return nil // not for browsers
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		loaded["/"+name] = file{content: content, media: media,
			etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read application files: %w", err)
	}
	index, ok := loaded["/index.html"]
	if !ok {
		return nil, errors.New("read application files: index.html is missing")
	}

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		f, found := loaded[r.URL.Path]
		if !found && !strings.Contains(path.Base(r.URL.Path), ".") {
			f, found = index, true
		}
		if !found {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", f.media)
		h.Set("ETag", f.etag)
		h.Set("Cache-Control", "no-cache") // names carry no hash: ask each time, answer 304
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
	}), nil
}
