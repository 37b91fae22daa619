package login

import (
	"errors"
	"io"
	"mime"
	"net/http"
)

// maxForm bounds the body of a form, in bytes. What stands in it could as well
// stand in a URL.
const maxForm = 64 << 10

var errNotForm = errors.New("the body is not a form")

// form reads the body of a form that a page had the browser post. It is not
// decoded. The query is never part of it.
func form(w http.ResponseWriter, r *http.Request) (string, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return "", errNotForm
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return "", errNotForm
	}
	return string(body), nil
}
