// Package as is AS*, an OpenID Provider that can misbehave. Left alone it is
// correct and strict: it follows the specifications to the letter, accepts
// nothing that a good client would not send, and writes every deviation down as
// a violation. A test that wants an answer wrong changes its Behaviour.
//
// It keeps every request it was sent, and tells a leak.Set of every secret it
// mints or learns.
package as
