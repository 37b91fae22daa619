package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/bff-operator/bff-operator/api/pod"
)

// Values of --provider.
const (
	builtin = "builtin"
	none    = "none"
)

// options are the command line.
type options struct {
	policyFile   string
	app          string // host:port, or "" for the sample's own page
	provider     string
	clientSecret string // file
	upstreams    upstreams
	admin        string
	logLevel     string
}

// upstreams are --upstream NAME=URL.
type upstreams map[string]string

func (u upstreams) String() string { return strings.Join(slices.Sorted(maps.Keys(u)), ", ") }

func (u upstreams) Set(value string) error {
	name, target, ok := strings.Cut(value, "=")
	if !ok || name == "" || target == "" {
		return errors.New("write ROUTE=URL, for example orders=http://localhost:8082")
	}
	u[name] = target
	return nil
}

func parseFlags(args []string, output io.Writer) (options, error) {
	o := options{upstreams: upstreams{}}
	flags := flag.NewFlagSet("bff-dev", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&o.policyFile, "f", "", "`file` with a BFFPolicy (required)")
	app := flags.String("app", "", "`URL` of the application, for example http://localhost:5173; the sample shop brings its own")
	flags.StringVar(&o.provider, "provider", builtin, "builtin: an identity provider with the users alice and bob; none: the one that the policy names")
	flags.StringVar(&o.clientSecret, "client-secret-file", "", "`file` with the client secret, with --provider none")
	flags.Var(o.upstreams, "upstream", "`ROUTE=URL`: where the calls of a route go on this machine; may be repeated")
	flags.StringVar(&o.admin, "admin-listen", fmt.Sprintf("127.0.0.1:%d", pod.AdminPort), "`address` for metrics and status")
	flags.StringVar(&o.logLevel, "log-level", "warn", "debug, info, warn or error")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q: see bff-dev --help", flags.Arg(0))
	case o.policyFile == "":
		return o, errors.New("say which policy: bff-dev -f policy.yaml")
	case o.provider != builtin && o.provider != none:
		return o, fmt.Errorf("--provider %q: write builtin or none", o.provider)
	case (o.provider == none) != (o.clientSecret != ""):
		return o, errors.New("--client-secret-file belongs to --provider none: give both or neither")
	}
	var err error
	o.app, err = applicationAddress(*app)
	return o, err
}

func applicationAddress(app string) (string, error) {
	if app == "" {
		return "", nil
	}
	u, err := url.Parse(app)
	if err != nil || u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return "", fmt.Errorf("--app %q: write scheme, host and port, for example http://localhost:5173", app)
	}
	if u.Port() == "" {
		return net.JoinHostPort(u.Hostname(), "80"), nil
	}
	return u.Host, nil
}
