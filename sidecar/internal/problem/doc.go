// Package problem is every error the sidecar answers a browser with: one
// catalogue of kinds, written as problem details (RFC 9457), and the request
// identifier that ties an answer to the sidecar's log.
//
// A problem says what the caller can do about it and nothing about the inside:
// no address, no upstream's message, no value of a header, cookie or token.
package problem
