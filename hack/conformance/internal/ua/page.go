package ua

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var (
	refreshing = regexp.MustCompile(`(?i)<meta[^>]+http-equiv="?refresh"?[^>]+content="\s*\d+\s*;\s*url=([^"]*)"`)
	onload     = regexp.MustCompile(`(?i)<body[^>]+onload="[^"]*\.submit\b`)
	scriptTag  = regexp.MustCompile(`(?is)<script>(.*?)</script>`)
	formTag    = regexp.MustCompile(`(?is)<form[^>]*>.*?</form>`)
	actionAttr = regexp.MustCompile(`(?i)<form[^>]+action="([^"]*)"`)
	inputTag   = regexp.MustCompile(`(?i)<input[^>]*>`)
	nameAttr   = regexp.MustCompile(`(?i)\bname="([^"]*)"`)
	valueAttr  = regexp.MustCompile(`(?i)\bvalue="([^"]*)"`)
)

// FormOf finds the form of a page: where it goes and what it holds.
func FormOf(r *Response) (action *url.URL, fields url.Values, ok bool) {
	form := formTag.FindString(r.Body)
	found := actionAttr.FindStringSubmatch(form)
	if found == nil {
		return nil, nil, false
	}
	action, err := r.URL.Parse(html.UnescapeString(found[1]))
	if err != nil {
		return nil, nil, false
	}
	fields = url.Values{}
	for _, tag := range inputTag.FindAllString(form, -1) {
		name, value := nameAttr.FindStringSubmatch(tag), valueAttr.FindStringSubmatch(tag)
		if name != nil && value != nil {
			fields.Add(html.UnescapeString(name[1]), html.UnescapeString(value[1]))
		}
	}
	return action, fields, true
}

// submits says whether a page submits its form by itself, and its policy lets
// it.
func submits(r *Response, action *url.URL) bool {
	scripts, hasScripts := directive(r.Header, "script-src")
	if sources, ok := directive(r.Header, "form-action"); ok && !slices.ContainsFunc(sources, func(source string) bool {
		return source == action.Scheme+":" || source == OriginOf(action) || source == OriginOf(action)+action.EscapedPath()
	}) {
		return false
	}
	if onload.MatchString(r.Body) {
		return !hasScripts // an attribute's script has no hash that these policies allow
	}
	for _, script := range scriptTag.FindAllStringSubmatch(r.Body, -1) {
		if !strings.Contains(script[1], "submit") {
			continue
		}
		sum := sha256.Sum256([]byte(script[1]))
		if !hasScripts || slices.Contains(scripts, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			return true
		}
	}
	return false
}

// directive is what the Content-Security-Policy of an answer says in a
// directive, or for scripts in default-src. It is not ok if there is none.
func directive(h http.Header, name string) (sources []string, ok bool) {
	for _, policy := range h.Values("Content-Security-Policy") {
		found := map[string][]string{}
		for part := range strings.SplitSeq(policy, ";") {
			if words := strings.Fields(part); len(words) > 0 {
				found[strings.ToLower(words[0])] = words[1:]
			}
		}
		if sources, ok := found[name]; ok {
			return sources, true
		}
		if sources, ok := found["default-src"]; ok && name == "script-src" {
			return sources, true
		}
	}
	return nil, false
}

// opaque is the origin of a sandboxed page.
var opaque = &url.URL{Scheme: "null"}

func sandboxed(h http.Header) bool {
	flags, ok := directive(h, "sandbox")
	return ok && !slices.Contains(flags, "allow-same-origin")
}
