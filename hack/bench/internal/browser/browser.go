// Package browser logs in as a person with a browser does.
package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// Person is who logs in, and where.
type Person struct {
	// Issuer is the demo provider's: it shows the login page at /login.
	Issuer             string
	Username, Password string
}

// maxSteps bounds redirects and forms of one login.
const maxSteps = 15

// Login opens a URL, follows wherever it is sent, and logs in at the provider's
// page. It returns the header field Cookie that a call to target would have
// afterwards.
func Login(ctx context.Context, start, target string, who Person) (string, error) {
	b := &session{client: &http.Client{
		Jar:           jars{},
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, who: who}
	defer b.client.CloseIdleConnections()
	if err := b.run(ctx, start); err != nil {
		return "", fmt.Errorf("log in at %s: %w", start, err)
	}
	at, err := url.Parse(target)
	if err != nil {
		return "", fmt.Errorf("log in: %w", err)
	}
	var cookies []string
	for _, cookie := range b.client.Jar.Cookies(at) {
		cookies = append(cookies, cookie.Name+"="+cookie.Value)
	}
	if len(cookies) == 0 {
		return "", fmt.Errorf("log in at %s: no cookie was set", start)
	}
	return strings.Join(cookies, "; "), nil
}

// jars keep the cookies of each host and port apart, since what has a port of
// this machine would have a name of its own elsewhere.
type jars map[string]*cookiejar.Jar

func (j jars) SetCookies(u *url.URL, cookies []*http.Cookie) {
	jar, there := j[u.Host]
	if !there {
		jar, _ = cookiejar.New(nil) // it has no error without options
		j[u.Host] = jar
	}
	jar.SetCookies(secure(u), cookies)
}

func (j jars) Cookies(u *url.URL) []*http.Cookie {
	jar, there := j[u.Host]
	if !there {
		return nil
	}
	return jar.Cookies(secure(u))
}

// secure has Secure cookies sent over plain http too, as browsers do to loopback
// addresses.
func secure(u *url.URL) *url.URL {
	https := *u
	https.Scheme = "https"
	return &https
}

type session struct {
	client *http.Client
	who    Person
}

var (
	errTooFar = errors.New("too many redirects")
	errPage   = errors.New("ended with an error page")
)

func (s *session) run(ctx context.Context, start string) error {
	request, err := navigation(ctx, http.MethodGet, start, nil)
	if err != nil {
		return err
	}
	for range maxSteps {
		response, err := s.client.Do(request)
		if err != nil {
			return err
		}
		page, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
		response.Body.Close()
		if err != nil {
			return err
		}
		at := request.URL
		switch {
		case response.StatusCode/100 == 3:
			to, err := response.Location()
			if err != nil {
				return err
			}
			request, err = navigation(ctx, http.MethodGet, to.String(), nil)
			if err != nil {
				return err
			}
		case response.StatusCode != http.StatusOK:
			return fmt.Errorf("%w: %s%s: status %d: %s", errPage, at.Host, at.Path, response.StatusCode, page[:min(len(page), 300)])
		case strings.HasPrefix(at.String(), s.who.Issuer+"/login"):
			form := url.Values{"request": {at.Query().Get("request")}, "username": {s.who.Username}, "password": {s.who.Password}}
			request, err = navigation(ctx, http.MethodPost, s.who.Issuer+"/login", form)
			if err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return errTooFar
}

// navigation is a request as a browser makes it for a page.
func navigation(ctx context.Context, method, target string, form url.Values) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	h := request.Header
	h.Set("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
	h.Set("Sec-Fetch-Mode", "navigate")
	h.Set("Sec-Fetch-Dest", "document")
	h.Set("Sec-Fetch-User", "?1")
	h.Set("Sec-Fetch-Site", "none")
	if form != nil {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		h.Set("Sec-Fetch-Site", "same-origin")
	}
	return request, nil
}
