// Package dpop is the client's side of DPoP (RFC 9449): the key that tokens are
// bound to, the proof of it that goes with each request, and the nonces that
// servers want to see in it.
//
// It sends nothing. Who makes a request asks for a proof, sends it in the header
// DPoP, notes the nonce of the answer and, once, starts over if WantsNonce says
// so.
package dpop
