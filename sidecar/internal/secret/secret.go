// Package secret is a string that does not end up where strings end up: in
// logs, errors and dumps.
package secret

import "log/slog"

const redacted = "[redacted]"

// String is a secret. Only Reveal returns it; printing, logging and
// marshalling return a fixed text.
type String struct{ value string }

// New makes a secret of a value.
func New(value string) String { return String{value} }

// Reveal returns the secret itself. Call it where the secret is used and
// nowhere else.
func (s String) Reveal() string { return s.value }

// IsZero says whether there is no secret.
func (s String) IsZero() bool { return s.value == "" }

// String implements fmt.Stringer.
func (s String) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (s String) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (s String) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the secret out of JSON, YAML and text dumps.
func (s String) MarshalText() ([]byte, error) { return []byte(redacted), nil }
