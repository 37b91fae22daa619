package proxy

import "strings"

// Bounds of a WWW-Authenticate header that is read. An upstream may be anybody's.
const (
	maxChallengeBytes = 8 << 10
	maxChallenges     = 16
)

// challenge is one challenge of WWW-Authenticate (RFC 9110 section 11.6.1).
type challenge struct {
	scheme     string
	parameters []parameter
	raw        string // as it stood there
}

type parameter struct{ name, value string }

// is compares the scheme without regard to case (RFC 9110 section 11.1).
func (c challenge) is(scheme string) bool { return strings.EqualFold(c.scheme, scheme) }

// get returns a parameter. It is not there if it stands there twice, which no
// challenge may have (RFC 9110 section 11.2).
func (c challenge) get(name string) (value string, ok bool) {
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

// has says whether a parameter stands there at all.
func (c challenge) has(name string) bool {
	for _, p := range c.parameters {
		if strings.EqualFold(p.name, name) {
			return true
		}
	}
	return false
}

// parseChallenges reads all values of WWW-Authenticate. It is not ok when any
// part cannot be read for certain; then nothing may be concluded from it.
func parseChallenges(values []string) (challenges []challenge, ok bool) {
	size := 0
	for _, value := range values {
		if size += len(value); size > maxChallengeBytes {
			return nil, false
		}
		p := challengeParser{text: value}
		if challenges, ok = p.all(challenges); !ok || len(challenges) > maxChallenges {
			return nil, false
		}
	}
	return challenges, true
}

// challengeParser reads one value: a list, in which a comma parts challenges as
// well as a challenge's parameters.
type challengeParser struct {
	text string
	at   int
}

func (p *challengeParser) all(list []challenge) ([]challenge, bool) {
	current, start := -1, 0
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
		spaces := p.skip(" \t")
		switch {
		case p.peek() == '=': // a parameter of the challenge before
			if current < 0 || !p.parameter(&list[current], name) {
				return nil, false
			}
		default:
			list = append(list, challenge{scheme: name})
			current, start = len(list)-1, began
			if spaces && !p.endOfItem() && !p.token68() {
				name := p.token()
				p.skip(" \t")
				if name == "" || p.peek() != '=' || !p.parameter(&list[current], name) {
					return nil, false
				}
			}
		}
		list[current].raw = strings.TrimRight(p.text[start:p.at], " \t")
		if p.skip(" \t"); !p.endOfItem() {
			return nil, false
		}
	}
}

// parameter reads what follows a parameter's name.
func (p *challengeParser) parameter(c *challenge, name string) bool {
	p.at++ // the equals sign
	p.skip(" \t")
	value, ok := p.value()
	c.parameters = append(c.parameters, parameter{name, value})
	return ok
}

func (p *challengeParser) value() (string, bool) {
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
func (p *challengeParser) token68() bool {
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
func (p *challengeParser) token() string {
	began := p.at
	for !p.end() && (isAlphanumeric(p.text[p.at]) || strings.IndexByte("!#$%&'*+-.^_`|~", p.text[p.at]) >= 0) {
		p.at++
	}
	return p.text[began:p.at]
}

// skip passes over characters and says whether there were any.
func (p *challengeParser) skip(characters string) bool {
	began := p.at
	for !p.end() && strings.IndexByte(characters, p.text[p.at]) >= 0 {
		p.at++
	}
	return p.at > began
}

func (p *challengeParser) end() bool { return p.at == len(p.text) }

func (p *challengeParser) endOfItem() bool { return p.end() || p.text[p.at] == ',' }

// peek is the next byte, or 0.
func (p *challengeParser) peek() byte {
	if p.end() {
		return 0
	}
	return p.text[p.at]
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// withoutDPoP removes DPoP challenges from WWW-Authenticate: whoever answers
// them is us and not the browser (DPOP-19). A header that cannot be read and may
// hold one goes as a whole.
func withoutDPoP(values []string) []string {
	challenges, ok := parseChallenges(values)
	if !ok {
		if strings.Contains(strings.ToLower(strings.Join(values, ",")), "dpop") {
			return nil
		}
		return values
	}
	kept := make([]string, 0, len(challenges))
	for _, c := range challenges {
		if !c.is("DPoP") {
			kept = append(kept, c.raw)
		}
	}
	if len(kept) == len(challenges) {
		return values
	}
	return kept
}

// refusesToken says whether a 401 is about the access token itself, so that
// another one could help (RFC 6750 section 3.1, invalid_token), and not about
// something else that the upstream checks. scheme is how the token was
// presented.
func refusesToken(values []string, scheme string) bool {
	challenges, ok := parseChallenges(values)
	if !ok || len(values) == 0 {
		return true // it does not say
	}
	for _, c := range challenges {
		if !c.is(scheme) {
			continue
		}
		if problem, _ := c.get("error"); problem == "invalid_token" || !c.has("error") {
			return true
		}
	}
	return false
}
