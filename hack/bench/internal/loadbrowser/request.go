package loadbrowser

import "strings"

// Request is a request as a browser makes it.
type Request struct {
	Method, Target, Host string
	// Fields are lines of the header, "Name: value".
	Fields []string
	Body   string
}

// browser are the fields that a browser sends with everything.
var browser = []string{
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"Accept-Language: de,en-US;q=0.7,en;q=0.3",
	"Accept-Encoding: gzip, deflate, br, zstd",
}

// Navigate is a browser going to a page, with cookies, "" for none. from is where
// it comes from: same-origin or cross-site (Fetch Metadata, Sec-Fetch-Site).
func Navigate(from, host, target, cookies string) Request {
	return Request{Method: "GET", Target: target, Host: host, Fields: with(cookies,
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"Sec-Fetch-Site: "+from, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-User: ?1", "Upgrade-Insecure-Requests: 1")}
}

// Fetch is a page's script calling its own site.
func Fetch(method, host, target, cookies string) Request {
	r := Request{Method: method, Target: target, Host: host, Fields: with(cookies,
		"Accept: application/json", "X-CSRF: 1", "Referer: https://"+host+"/",
		"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty")}
	if method != "GET" {
		r.Fields = append(r.Fields, "Origin: https://"+host)
	}
	return r
}

func with(cookies string, fields ...string) []string {
	all := append(fields, browser...)
	if cookies != "" {
		all = append(all, "Cookie: "+cookies)
	}
	return all
}

// path is the target without what may be secret.
func (r Request) path() string {
	path, _, _ := strings.Cut(r.Target, "?")
	return path
}

func (r Request) bytes() []byte {
	var b []byte
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, r.Target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, r.Host...)
	for _, field := range r.Fields {
		b = append(b, "\r\n"...)
		b = append(b, field...)
	}
	b = append(b, "\r\n\r\n"...)
	return append(b, r.Body...)
}
