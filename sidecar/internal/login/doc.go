// Package login is the browser's side of the Backend for Frontend (RFC 10017
// section 6.1): the endpoints login, callback, session and logout.
//
// A login in progress is a transaction. It lives in a sealed cookie of its own,
// so that several tabs can log in at once, and it can be used once. A callback
// always makes a new session, and never one the browser brought.
//
// No answer carries a token, and no URL but the authorization request's carries
// a state. Every refusal has a Reason of its own.
package login
