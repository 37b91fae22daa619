// Package telemetry is what the sidecar tells its operators: a JSON log, metrics
// in Prometheus' format, and audit events in the log.
//
// Nothing here carries a token, code, state, cookie, session identifier or
// subject (GAP-09, BFF-36). Labels have few values: names from the policy,
// classes of status codes, and reasons from a fixed list.
package telemetry
