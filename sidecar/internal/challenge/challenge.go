// Package challenge reads the challenges of WWW-Authenticate (RFC 9110 section
// 11.6.1), by which a resource server says what it wants of a token.
package challenge

import "strings"

// Bounds of a header that is read. A resource server may be anybody's.
const (
	maxBytes      = 8 << 10
	maxChallenges = 16
)

// Challenge is one challenge.
type Challenge struct {
	// Raw is the challenge as it stood there.
	Raw string

	scheme     string
	parameters []parameter
}

type parameter struct{ name, value string }

// Is compares the scheme without regard to case (RFC 9110 section 11.1).
func (c Challenge) Is(scheme string) bool { return strings.EqualFold(c.scheme, scheme) }

// Get returns a parameter. It is not there if it stands there twice, which no
// challenge may have (RFC 9110 section 11.2).
func (c Challenge) Get(name string) (value string, ok bool) {
	for _, p := range c.parameters {
		if strings.EqualFold(p.name, name) {
			if ok {
				return "", false
			}
			value, ok = p.value, true
		}
	}
	return value, ok
}

// Has says whether a parameter stands there at all.
func (c Challenge) Has(name string) bool {
	for _, p := range c.parameters {
		if strings.EqualFold(p.name, name) {
			return true
		}
	}
	return false
}

// Parse reads all values of WWW-Authenticate. It is not ok when any
// part cannot be read for certain; then nothing may be concluded from it.
func Parse(values []string) (challenges []Challenge, ok bool) {
	size := 0
	for _, value := range values {
		if size += len(value); size > maxBytes {
			return nil, false
		}
		p := parser{text: value}
		if challenges, ok = p.all(challenges); !ok || len(challenges) > maxChallenges {
			return nil, false
		}
	}
	return challenges, true
}

// parser reads one value: a list, in which a comma parts challenges as
// well as a challenge's parameters.
type parser struct {
	text string
	at   int
}

func (p *parser) all(list []Challenge) ([]Challenge, bool) {
	current, start := -1, 0
	open := false // to parameters: only after a scheme and a space
	for {
		p.skip(" \t,")
		if p.end() {
			return list, true
		}
		began := p.at
		name := p.token()
		if name == "" {
			return nil, false
		}
		spaces := p.skip(" ")
		tabs := p.skip(" \t")
		switch {
		case p.peek() == '=': // a parameter of the challenge before
			if !open || !p.parameter(&list[current], name) {
				return nil, false
			}
		default:
			list = append(list, Challenge{scheme: name})
			current, start, open = len(list)-1, began, spaces
			switch {
			case p.endOfItem():
			case tabs: // only spaces may stand after a scheme
				return nil, false
			case !spaces:
			case p.token68():
				open = false
			default:
				name := p.token()
				p.skip(" \t")
				if name == "" || p.peek() != '=' || !p.parameter(&list[current], name) {
					return nil, false
				}
			}
		}
		list[current].Raw = strings.TrimRight(p.text[start:p.at], " \t")
		if p.skip(" \t"); !p.endOfItem() {
			return nil, false
		}
	}
}

// parameter reads what follows a parameter's name.
func (p *parser) parameter(c *Challenge, name string) bool {
	p.at++ // the equals sign
	p.skip(" \t")
	value, ok := p.value()
	c.parameters = append(c.parameters, parameter{name, value})
	return ok
}

func (p *parser) value() (string, bool) {
	if p.peek() != '"' {
		value := p.token()
		return value, value != ""
	}
	var b strings.Builder
	for p.at++; !p.end(); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return b.String(), true
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
			b.WriteByte(p.text[p.at])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// token68 reads credentials such as those of Negotiate, if they stand here
// (RFC 9110 section 11.2).
func (p *parser) token68() bool {
	began := p.at
	for !p.end() && (isAlphanumeric(p.text[p.at]) || strings.IndexByte("-._~+/", p.text[p.at]) >= 0) {
		p.at++
	}
	something := p.at > began
	for p.peek() == '=' {
		p.at++
	}
	after := p.at
	p.skip(" \t")
	if something && p.endOfItem() {
		p.at = after
		return true
	}
	p.at = began
	return false
}

// token reads a token (RFC 9110 section 5.6.2), or "".
func (p *parser) token() string {
	began := p.at
	for !p.end() && (isAlphanumeric(p.text[p.at]) || strings.IndexByte("!#$%&'*+-.^_`|~", p.text[p.at]) >= 0) {
		p.at++
	}
	return p.text[began:p.at]
}

// skip passes over characters and says whether there were any.
func (p *parser) skip(characters string) bool {
	began := p.at
	for !p.end() && strings.IndexByte(characters, p.text[p.at]) >= 0 {
		p.at++
	}
	return p.at > began
}

func (p *parser) end() bool { return p.at == len(p.text) }

func (p *parser) endOfItem() bool { return p.end() || p.text[p.at] == ',' }

// peek is the next byte, or 0.
func (p *parser) peek() byte {
	if p.end() {
		return 0
	}
	return p.text[p.at]
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
