// Package ua is a scripted user agent: it does what a browser does, as far as a
// server can tell. It has a cookie jar that obeys prefixes, Secure and SameSite,
// sends Origin and Fetch Metadata by who starts a request and how, and follows
// redirects, refreshing pages and forms that submit themselves. Requests that no
// browser would send are written byte by byte.
//
// Everything that comes from the origin under test is kept for the leak scan.
package ua
