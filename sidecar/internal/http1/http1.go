// Package http1 reads the head of a usual HTTP/1.1 message (RFC 9112 section
// 2.1) and writes one. It knows a narrow grammar, of which no two readers think
// differently, and says so when a head is outside of it: net/http may then make
// of it what it likes.
package http1

import (
	"bytes"
	"net/http"
)

// maxFields bounds the fields of a head.
const maxFields = 100

// Head is the head of one message, in memory that is used again for the next.
type Head struct {
	// Line is the first line, without its end.
	Line string
	// Header has the fields under their canonical names. The map and its slices
	// are valid until the next Parse; the strings for ever.
	Header http.Header

	scratch []byte
	fields  []field
	values  []string
}

// field is where a field stands in the head.
type field struct{ name, nameEnd, value, valueEnd int }

// End is the length of the head that b begins with, its empty line included, or
// -1 if its end is not there yet.
func End(b []byte) int {
	i := bytes.Index(b, endOfHead)
	if i < 0 {
		return -1
	}
	return i + len(endOfHead)
}

var (
	endOfHead = []byte("\r\n\r\n")
	endOfLine = []byte("\r\n")
)

// Parse reads a head, its empty line included: what End has measured. It is
// false for everything outside of the grammar: a line that ends otherwise than
// in CRLF, one that continues the line before it, a name that is no token or is
// parted from its colon, a value with anything but printable ASCII, blanks and
// tabs, a hundred fields and more. Then nothing of the Head can be used.
//
// It allocates one string and does not change b.
func (h *Head) Parse(b []byte) bool {
	if len(b) < len(endOfHead) {
		return false
	}
	h.scratch = append(h.scratch[:0], b[:len(b)-len(endOfLine)]...)
	h.fields = h.fields[:0]
	first := bytes.Index(h.scratch, endOfLine)
	if first <= 0 || !all(h.scratch[:first], isValue) {
		return false
	}
	for at := first + len(endOfLine); at < len(h.scratch); {
		length := bytes.Index(h.scratch[at:], endOfLine)
		if length < 0 || len(h.fields) == maxFields {
			return false
		}
		f, ok := readField(h.scratch, at, at+length)
		if !ok {
			return false
		}
		h.fields = append(h.fields, f)
		at += length + len(endOfLine)
	}
	h.keep(string(h.scratch), first)
	return true
}

// readField reads the line b[at:end] and makes its name canonical.
func readField(b []byte, at, end int) (f field, ok bool) {
	colon := bytes.IndexByte(b[at:end], ':')
	if colon <= 0 || !canonical(b[at:at+colon]) {
		return field{}, false
	}
	f = field{name: at, nameEnd: at + colon, value: at + colon + 1, valueEnd: end}
	for f.value < f.valueEnd && isBlank(b[f.value]) {
		f.value++
	}
	for f.valueEnd > f.value && isBlank(b[f.valueEnd-1]) {
		f.valueEnd--
	}
	return f, all(b[f.value:f.valueEnd], isValue)
}

// keep makes the text of a head the one that is there.
func (h *Head) keep(text string, first int) {
	h.Line = text[:first]
	if h.Header == nil {
		h.Header = make(http.Header, 2*len(h.fields))
	}
	clear(h.Header)
	if cap(h.values) < len(h.fields) {
		h.values = make([]string, 2*len(h.fields))
	}
	h.values = h.values[:cap(h.values)]
	for i, f := range h.fields {
		name, value := text[f.name:f.nameEnd], text[f.value:f.valueEnd]
		if before := h.Header[name]; before != nil {
			h.Header[name] = append(before, value)
			continue
		}
		h.values[i] = value
		h.Header[name] = h.values[i : i+1 : i+1]
	}
}

// Forget lets go of the head's text, so that a connection that waits for its
// next message holds nothing of the last one.
func (h *Head) Forget() {
	h.Line = ""
	clear(h.Header)
	clear(h.values)
}
