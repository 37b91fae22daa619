package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/redis/rueidis"
)

// unavailable wraps a failure as ErrUnavailable.
func unavailable(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, ErrUnavailable, redact(err))
}

// clean marks an error whose text is known to name neither key nor value.
type clean struct{ error }

func (c clean) Unwrap() error { return c.error }

var (
	errOdd    = clean{errors.New("the server's answer cannot be understood")}
	errUntold = clean{errors.New("the server does not tell of changes: it must be Redis 7 or newer, or Valkey, and let the user call CLIENT TRACKING")}
	errNoNode = clean{errors.New("no node of the Cluster serves the sessions")}
)

// redact keeps the parts of an error that name neither key nor value. A server's
// error text can quote the command with its arguments ("ERR unknown command …,
// with args beginning with …"), a parser's the value it could not parse.
func redact(err error) error {
	var known clean
	if errors.As(err, &known) || lost(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch refusal, ok := rueidis.IsRedisErr(err); {
	case errors.Is(err, rueidis.ErrNoCache): // which quotes the command
		return errUntold
	case errors.Is(err, rueidis.ErrNoSlot):
		return errNoNode
	case ok:
		return refused(refusal.Error())
	}
	return errOdd
}

// refused is the answer of a server that would not serve, by its code: the
// error's first word, such as NOAUTH, WRONGPASS, LOADING, READONLY or OOM.
func refused(text string) error {
	code, _, _ := strings.Cut(text, " ")
	if code == "" || len(code) > 20 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		code = "an error"
	}
	return clean{fmt.Errorf("the server answered %s", code)}
}

// lost says whether an error means that a connection broke or was never there.
func lost(err error) bool {
	var network net.Error
	return errors.As(err, &network) && !errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, rueidis.ErrClosing) || errors.Is(err, errLost)
}

// readOnly says whether a server is no primary any more, or not yet.
func readOnly(err error) bool {
	refusal, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(refusal.Error(), "READONLY ")
}
