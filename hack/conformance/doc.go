// Package conformance is an executable proof that the built bff-sidecar, driven
// from outside, meets the rows of rows.yaml. The tests stand behind the build
// tag conformance; see README.md.
package conformance
