// Package idp is a small OpenID Provider for demos and tests: a login page, the authorization code flow with PKCE,
// rotating refresh tokens with reuse detection, JWT access tokens, UserInfo, revocation and RP-initiated logout.
// It is built on the provider side of github.com/zitadel/oidc and keeps everything in bounded memory.
//
// It is a real provider with a toy user database: passwords are in the configuration in plain text, may be shown on
// the login page, and everybody is forgotten on restart. Do not put it in front of anything that matters.
//
// What it is strict about, so that a client that works here follows the standards:
//
//   - authorization code only, PKCE with S256 required (RFC 7636, RFC 9700 section 2.1.1);
//   - a code works once and for a minute; presenting it twice revokes what it yielded (RFC 6749 section 4.1.2);
//   - every refresh rotates the refresh token; presenting a spent one revokes the whole grant (RFC 9700 section 4.14.2);
//   - a client authenticates with the method it registered and no other, never in the URL (RFC 6749 section 2.3.1);
//   - redirect URIs are compared as exact strings (RFC 9700 section 4.1.3);
//   - authorization responses, errors too, carry iss (RFC 9207);
//   - the issuer is what the configuration says and never derived from a request, so that the provider can be reached
//     under several addresses (a port-forward for browsers, a Service for pods) and still be one issuer.
//
// In a program:
//
//	provider, err := idp.New(idp.Config{
//		Issuer:  "http://id.localhost:8090",
//		Users:   idp.DemoUsers(),
//		Clients: []idp.Client{{ID: "shop", Secret: secret, RedirectURIs: []string{"http://localhost:8080/bff/callback"}}},
//	})
//	// ...
//	server := &http.Server{Addr: "127.0.0.1:8090", Handler: provider} // and timeouts
//
// In a test, package idptest starts one on a free port and plays the browser at it.
package idp
