// Package server puts the sidecar together: from a snapshot of the
// configuration it builds everything that answers requests, and it swaps that
// whole when the configuration changes. Requests that are under way end with
// what they began with. Sessions and the provider's client are kept across
// changes that do not concern them.
package server
