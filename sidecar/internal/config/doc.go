// Package config reads what the operator mounts into the pod: the rendered
// BFFPolicy, the Secrets it names and the key ring. What it publishes is an
// immutable snapshot. A change of the files becomes a new snapshot; a bad
// change leaves the last good one in force and is reported.
package config
