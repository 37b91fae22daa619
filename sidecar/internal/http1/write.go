package http1

import "net/http"

// AppendFields appends a header's fields. What is no token is left out as a
// name, and a byte that would end a line stands there as a blank, as net/http
// has it (RFC 9110 section 5.5).
func AppendFields(b []byte, h http.Header) []byte {
	for name, values := range h {
		if !all(name, isToken) || name == "" {
			continue
		}
		for _, value := range values {
			b = append(b, name...)
			b = append(b, ':', ' ')
			b = appendValue(b, value)
			b = append(b, '\r', '\n')
		}
	}
	return b
}

func appendValue(b []byte, value string) []byte {
	at := len(b)
	b = append(b, value...)
	if all(value, isValue) {
		return b
	}
	for i, c := range b[at:] {
		if c == '\r' || c == '\n' || c == 0 {
			b[at+i] = ' '
		}
	}
	return b
}
