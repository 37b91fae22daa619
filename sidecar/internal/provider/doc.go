// Package provider is the OpenID Provider as its relying party sees it:
// metadata, keys, the token endpoint, revocation and logout.
//
// A Client never needs the provider to be up. It is made without a call,
// fetches the metadata when they are first needed, and keeps what it has when
// the provider is gone.
//
// Every failure is an *Error with a Reason that stays the same between
// releases. No error, and nothing this package logs, carries a token, a code, a
// secret, or text of the provider's answers; the one exception is the name of an
// issuer that is not the expected one.
package provider
