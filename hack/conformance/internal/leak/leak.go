// Package leak looks for secrets where they must not be. Whoever mints or
// learns of a secret adds it to a Set; whatever was seen is scanned for all of
// them, as it stands and decoded.
package leak

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Reach says where a secret may be seen.
type Reach int

const (
	// Nowhere: neither the browser nor an operator may see it. Tokens, secrets,
	// assertions, codes and verifiers.
	Nowhere Reach = iota
	// Browser: the browser holds it, but no log, metric or status may. States,
	// nonces and cookies.
	Browser
)

// minimum is the shortest value worth looking for: a shorter one is found by
// chance.
const minimum = 12

type secret struct {
	kind  string
	value string
	reach Reach
}

// Set is a growing set of secrets. It is safe for concurrent use; its zero value
// is empty.
type Set struct {
	mu      sync.Mutex
	secrets []secret
	known   map[string]bool
}

// Add adds a secret. kind is what a finding calls it. Values shorter than 12
// characters are not looked for.
func (s *Set) Add(kind, value string, reach Reach) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(value) < minimum || s.known[value] {
		return
	}
	if s.known == nil {
		s.known = map[string]bool{}
	}
	s.known[value] = true
	s.secrets = append(s.secrets, secret{kind, value, reach})
}

// Len is how many secrets are known, so that a clean scan can be told from an
// empty one.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.secrets)
}

// Finding is a secret found.
type Finding struct {
	Kind string
	// Around is the text before the secret, to find the place by.
	Around string
}

func (f Finding) String() string { return fmt.Sprintf("%s (after %q)", f.Kind, f.Around) }

// InBrowser finds secrets that a browser must not have in what it received.
func (s *Set) InBrowser(text string) []Finding {
	return s.find(text, func(r Reach) bool { return r == Nowhere })
}

// Inside finds secrets of any kind in logs, metrics, status or a store.
func (s *Set) Inside(text string) []Finding {
	return s.find(text, func(Reach) bool { return true })
}

func (s *Set) find(text string, looked func(Reach) bool) []Finding {
	s.mu.Lock()
	secrets := slices.Clone(s.secrets)
	s.mu.Unlock()
	readings := decodings(text)
	var found []Finding
	for _, x := range secrets {
		if !looked(x.reach) {
			continue
		}
		for _, reading := range readings {
			if i := strings.Index(reading, x.value); i >= 0 {
				found = append(found, Finding{x.kind, reading[max(0, i-60):i]})
				break
			}
		}
	}
	return found
}

var (
	percent = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	encoded = regexp.MustCompile(`[A-Za-z0-9_+/-]{16,}`)
)

// decodings are the ways to read a text: as it stands, percent-decoded once and
// twice, without the escapes of JSON, and what its base64 runs decode to.
func decodings(text string) []string {
	readings := []string{text}
	for last := text; len(readings) < 3 && percent.MatchString(last); {
		last = percent.ReplaceAllStringFunc(last, func(e string) string {
			decoded, err := url.PathUnescape(e)
			if err != nil {
				return e
			}
			return decoded
		})
		readings = append(readings, last)
	}
	if strings.Contains(text, `\`) {
		readings = append(readings, strings.NewReplacer(`\"`, `"`, `\/`, `/`, `\u0026`, `&`, `\u003c`, `<`, `\u003e`, `>`).Replace(text))
	}
	for _, reading := range slices.Clone(readings) {
		var b strings.Builder
		for _, run := range encoded.FindAllString(reading, -1) {
			run = strings.NewReplacer("+", "-", "/", "_").Replace(run)
			for start := range 4 { // a run may begin with something else
				b.Write(decode(run[start:]))
				b.WriteByte('\n')
			}
		}
		readings = append(readings, b.String())
	}
	return readings
}

// decode decodes as much of a run of base64url as can be decoded.
func decode(run string) []byte {
	if len(run)%4 == 1 {
		run = run[:len(run)-1]
	}
	decoded, err := base64.RawURLEncoding.DecodeString(run)
	if err != nil {
		return nil
	}
	return decoded
}
