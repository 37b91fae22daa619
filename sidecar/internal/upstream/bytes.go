package upstream

// class says what a byte may be.
type class uint8

const (
	isToken  class = 1 << iota // RFC 9110 section 5.6.2
	isValue                    // in a field's value: no control character but a tab
	isTarget                   // in a request's target: no control character and no blank
	isHost                     // in a Host field: RFC 3986 section 3.2.2, without an encoding
)

var classes = func() (table [256]class) {
	const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	set := func(c class, bytes string) {
		for i := range len(bytes) {
			table[bytes[i]] |= c
		}
	}
	set(isToken, alphanumeric+"!#$%&'*+-.^_`|~")
	set(isHost, alphanumeric+"!$&'()*+,-.:;=[]_~")
	for b := range len(table) {
		if b >= ' ' && b != 0x7f || b == '\t' {
			table[b] |= isValue
		}
		if b > ' ' && b != 0x7f {
			table[b] |= isTarget
		}
	}
	return table
}()

// all says whether there are bytes and all of them are of a class. A value may
// be empty.
func all[T string | []byte](b T, c class) bool {
	for i := range len(b) {
		if classes[b[i]]&c == 0 {
			return false
		}
	}
	return len(b) > 0 || c == isValue
}
