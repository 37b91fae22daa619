// Package login is the browser's side of a Backend for Frontend's logins (RFC
// 10017 section 6.1): the endpoints login, callback and session.
//
// A login in progress is a transaction. It lives in a sealed cookie of its own,
// so that several tabs can log in at once, and it can be used once. A callback
// always makes a new session, and never one the browser brought.
//
// What a page asks of a login (another authentication context, a younger
// authentication, no questions) goes to the provider only as the policy allows,
// and the answer has to fulfil it.
//
// No answer carries a token, and no URL but the authorization request's carries
// a state. Every refusal has a reason of its own.
package login
