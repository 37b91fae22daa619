// Package clientauth is how a confidential client authenticates at its
// authorization server, on every call: token, refresh, pushed authorization
// request, revocation (RFC 6749 section 2.3, RFC 7523, RFC 8705).
//
// A client has one method, the one it is registered with, and never tries
// another: that would send a secret where it is not expected.
package clientauth
