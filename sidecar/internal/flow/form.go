package flow

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
)

// FormTime bounds how long the body of a form may take to arrive.
const FormTime = 10 * time.Second

// Errors of Form.
var (
	// ErrNotForm says that a request does not say, once, that its body is a form, or
	// that the body is encoded besides.
	ErrNotForm = errors.New("the body is not application/x-www-form-urlencoded")
	// ErrBody says that a body is too large, or did not arrive in time or at all.
	ErrBody = errors.New("the body is too large or has not arrived")
)

// Form reads the body of a form, at most size bytes of it. It is not decoded, and
// the query is never part of it. It returns ErrNotForm or ErrBody.
func Form(w http.ResponseWriter, r *http.Request, size int64) (string, error) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" || len(r.Header["Content-Type"]) != 1 || r.Header.Get("Content-Encoding") != "" {
		return "", ErrNotForm
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(FormTime)) // what cannot have one is no connection
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, size))
	if err != nil {
		return "", ErrBody
	}
	// The server goes on reading, to notice when the browser leaves, and that must
	// not expire.
	_ = control.SetReadDeadline(time.Time{})
	return string(body), nil
}
