package window

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"testing"
	"time"
)

func TestBytesAreARequest(t *testing.T) {
	r := Request{Address: "127.0.0.1:80", Path: "/a?b=c", Header: []Field{{"X-CSRF", "1"}, {"Cookie", "a=b; c=d"}}}
	got, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(r.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	if got.Host != r.Address || got.RequestURI != r.Path || got.Header.Get("X-Csrf") != "1" || len(got.Cookies()) != 2 {
		t.Errorf("got %s %s %v", got.Host, got.RequestURI, got.Header)
	}
}

func TestCheck(t *testing.T) {
	good := Result{Requests: 100, Time: time.Second}
	for name, test := range map[string]struct {
		result  Result
		arrived int
		clean   bool
	}{
		"all arrived":                {good, 100, true},
		"some on their way":          {good, 108, true},
		"one was answered elsewhere": {good, 99, false},
		"too many arrived":           {good, 109, false},
		"nothing was answered":       {Result{Time: time.Second}, 0, false},
		"one was refused":            {Result{Requests: 100, NotOK: 1}, 100, false},
		"one failed":                 {Result{Requests: 100, Failed: 1}, 100, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.result.Check(test.arrived, 8)
			if (err == nil) != test.clean || err != nil && !errors.Is(err, ErrNotClean) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRate(t *testing.T) {
	if got := (Result{Requests: 500, Time: 250 * time.Millisecond}).Rate(); got != 2000 {
		t.Errorf("got %v", got)
	}
	if got := (Result{}).Rate(); got != 0 {
		t.Errorf("got %v", got)
	}
}
