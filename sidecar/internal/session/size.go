package session

import "encoding/json"

// What things take in memory, in bytes: about, rather too much than too little.
const (
	sessionSize = 768 // a session with nothing in it, and its place in the cache
	wordSize    = 16  // an interface, or a string beside its text
	smallest    = 16  // any text
	entrySize   = 64  // an entry of a map
	mapSize     = 256
	targetSize  = 256 // an access token for a target beside its text, and its header value
	// The runtime rounds what it gives up, by an eighth at most.
	roundedUp = 8
)

// sizeOf is about how much memory an opened session takes, whose record had a
// size. Its texts are as long as in the record, and there once; many small claims
// take much more than their text.
func sizeOf(record int, claims map[string]any, targets int) int {
	size := sessionSize + record + targets*targetSize
	size += size / roundedUp
	for _, claim := range claims {
		size += entrySize + claimSize(claim)
	}
	return size
}

// claimSize is about what a claim takes beside its text. It is as deep as the
// decoder has let it be.
func claimSize(claim any) int {
	size := wordSize
	switch claim := claim.(type) {
	case string, json.Number:
		size += wordSize + smallest
	case []any:
		size += 2 * wordSize
		for _, element := range claim {
			size += claimSize(element)
		}
		size += size / roundedUp
	case map[string]any:
		size += mapSize
		for _, value := range claim {
			size += entrySize + claimSize(value)
		}
	}
	return size
}
