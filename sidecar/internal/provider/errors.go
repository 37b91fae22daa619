package provider

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// ErrUnavailable says that the provider cannot be used right now: it is
// unreachable, too slow, overloaded, or answers nonsense where metadata or keys
// should be. It may pass; nothing is known about any grant or session.
var ErrUnavailable = errors.New("identity provider unavailable")

// Error is every failure this package returns. Its text holds no token, code,
// secret or text of the provider, so it may be logged.
type Error struct {
	// Reason is the stable name of the cause.
	Reason Reason

	attempt    string // what was attempted
	cause      error  // nil, or an error whose text is safe to log
	retryAfter time.Duration
}

// Error says what was attempted and why it failed.
func (e *Error) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("%s: %s", e.attempt, e.Reason)
	}
	return fmt.Sprintf("%s: %s: %v", e.attempt, e.Reason, e.cause)
}

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// Is makes an Error match ErrUnavailable, by its reason.
func (e *Error) Is(target error) bool {
	if target != ErrUnavailable {
		return false
	}
	switch e.Reason {
	case ReasonUnreachable, ReasonStatus, ReasonMetadata, ReasonIssuerMismatch, ReasonKeys, ReasonKeysOutdated:
		return true
	}
	return false
}

// ReasonOf is the reason of the first Error in err's tree, or "" if there is
// none.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}

// IsTemporary says whether the same call may succeed later.
func IsTemporary(err error) bool { return errors.Is(err, ErrUnavailable) }

// RetryAfter is how long the provider asked to wait before the next call (RFC
// 9110 section 10.2.3), at most an hour, or 0 if it did not.
func RetryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.retryAfter
	}
	return 0
}

func failure(attempt string, reason Reason, cause error) *Error {
	return &Error{Reason: reason, attempt: attempt, cause: cause}
}

// answered is a failure that an answer explains.
func answered(attempt string, reason Reason, status int, header http.Header, now time.Time) *Error {
	failed := failure(attempt, reason, statusError(status))
	failed.retryAfter = retryAfter(header.Get("Retry-After"), now)
	return failed
}

// longestRetryAfter is how long a provider can make this client wait.
const longestRetryAfter = time.Hour

// retryAfter reads a Retry-After header: seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		wait = date.Sub(now)
	}
	return min(max(wait, 0), longestRetryAfter)
}

// statusError is an answer with a status that says enough.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("status %d", int(s)) }

// isTemporary says whether a status is about the provider's state rather than
// about the request.
func isTemporary(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500
}
