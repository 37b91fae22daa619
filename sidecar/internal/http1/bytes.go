package http1

// class says what a byte may be.
type class uint8

const (
	isToken class = 1 << iota // RFC 9110 section 5.6.2
	isValue                   // in a field's value: printable ASCII, blank and tab
	isPath                    // in a path, and neither encoded nor read in two ways
	isQuery                   // in a query
	isHost                    // in a Host field
)

var classes = func() (table [256]class) {
	set := func(c class, bytes string) {
		for i := range len(bytes) {
			table[bytes[i]] |= c
		}
	}
	const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	set(isToken, alphanumeric+"!#$%&'*+-.^_`|~")
	set(isPath, alphanumeric+"-._~/$&+,;=:@")
	set(isHost, alphanumeric+"-._:[]")
	for b := byte(' '); b <= '~'; b++ {
		table[b] |= isValue
		if b != ' ' && b != '#' {
			table[b] |= isQuery
		}
	}
	table['\t'] |= isValue
	return table
}()

// all says whether all bytes are of a class.
func all[T string | []byte](b T, c class) bool {
	for i := range len(b) {
		if classes[b[i]]&c == 0 {
			return false
		}
	}
	return true
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' }

// canonical writes a field's name in its canonical form: capitals at the
// beginning and after each dash, small letters elsewhere. It is false for what
// is no token.
func canonical(name []byte) bool {
	upper := true
	for i, b := range name {
		if classes[b]&isToken == 0 {
			return false
		}
		switch {
		case upper && 'a' <= b && b <= 'z':
			name[i] = b - ('a' - 'A')
		case !upper && 'A' <= b && b <= 'Z':
			name[i] = b + ('a' - 'A')
		}
		upper = b == '-'
	}
	return true
}
