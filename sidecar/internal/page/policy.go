package page

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
)

// A page may show itself and its own style, and nothing else (BFF-40, GAP-12).
// Style and script are named by their hashes, so that no other ones could be
// slipped in.
var (
	base  = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src '" + sourceHash(style) + "'"
	still = base + "; form-action 'none'"
	// A document in a sandbox without allow-same-origin has an origin that no other
	// document has, so none can reach into it. It may still navigate itself.
	submitting = base + "; sandbox allow-forms allow-scripts; script-src '" + sourceHash(script) + "'"
	// form-action cannot name the provider alone: Chromium holds every redirect that
	// follows against it, and a provider sends the browser on, to a provider behind
	// it and in the end back to the application. Any web address may follow.
	submittingWeb  = submitting + "; form-action http: https:"
	submittingNone = submitting + "; form-action 'none'"
)

// policy is the page's Content-Security-Policy.
func (p Page) policy() string {
	switch {
	case p.Form == nil:
		return still
	case isWeb(p.Form.Action):
		return submittingWeb
	}
	return submittingNone
}

// sourceHash is a hash source (Content Security Policy Level 3 section 2.3.1).
func sourceHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// isWeb says whether target is an absolute http or https URL.
func isWeb(target string) bool {
	u, err := url.Parse(target)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}
