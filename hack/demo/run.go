package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	shop "github.com/bff-operator/bff-operator/config/samples/shop/web"
	"github.com/bff-operator/bff-operator/hack/demo/api"
	"github.com/bff-operator/bff-operator/hack/demo/idp"
	"github.com/bff-operator/bff-operator/hack/demo/web"
)

const usage = `The parts of the BFF demo.

Usage:
  bff-demo idp --config FILE   an OpenID Provider with a login page
  bff-demo api [flags]         an API that wants access tokens and tells what it saw
  bff-demo web [flags]         the single-page application

Each prints its flags with --help. All serve GET /healthz, log JSON to stderr and
stop on SIGTERM. No log line contains a token.
`

// run starts the part that the first argument names and returns when ctx ends, or with the reason it could not go on.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	parts := map[string]func(context.Context, []string, io.Writer) error{"idp": runIDP, "api": runAPI, "web": runWeb}
	if len(args) > 0 {
		if args[0] == "--help" || args[0] == "-h" || args[0] == "help" {
			fmt.Fprint(stderr, usage)
			return nil
		}
		if part, ok := parts[args[0]]; ok {
			err := part(ctx, args[1:], stderr)
			if errors.Is(err, flag.ErrHelp) {
				return nil
			}
			return err
		}
	}
	fmt.Fprint(stderr, usage)
	return errors.New("the first argument must be idp, api or web")
}

func runIDP(ctx context.Context, args []string, stderr io.Writer) error {
	flags := newFlags("idp", stderr)
	listen := flags.String("listen", ":8090", "`address` to listen on")
	path := flags.String("config", "", "YAML `file` with issuer, clients and users (required)")
	if err := parse(flags, args, "config"); err != nil {
		return err
	}
	config, err := loadIDPConfig(*path)
	if err != nil {
		return err
	}
	config.Logger = newLogger(stderr)
	provider, err := idp.New(config)
	if err != nil {
		return err
	}
	config.Logger.Info("identity provider", slog.String("issuer", provider.Issuer()))
	return serve(ctx, config.Logger, *listen, provider)
}

func runAPI(ctx context.Context, args []string, stderr io.Writer) error {
	flags := newFlags("api", stderr)
	listen := flags.String("listen", ":8082", "`address` to listen on")
	issuer := flags.String("issuer", "", "`URL` of the issuer of the access tokens (required)")
	audience := flags.String("audience", "", "`name` that must be in the access tokens' aud (required)")
	connectTo := flags.String("connect-to", "", "`host:port` to dial instead of the issuer's")
	if err := parse(flags, args, "issuer", "audience"); err != nil {
		return err
	}
	log := newLogger(stderr)
	return serve(ctx, log, *listen, api.New(api.Config{Issuer: *issuer, Audience: *audience, ConnectTo: *connectTo, Logger: log}))
}

func runWeb(ctx context.Context, args []string, stderr io.Writer) error {
	flags := newFlags("web", stderr)
	listen := flags.String("listen", ":8081", "`address` to listen on; behind a sidecar, localhost:8081 is enough")
	if err := parse(flags, args); err != nil {
		return err
	}
	handler, err := web.New(shop.Files)
	if err != nil {
		return err
	}
	return serve(ctx, newLogger(stderr), *listen, handler)
}

func newFlags(name string, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("bff-demo "+name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	return flags
}

// parse refuses arguments that are no flags and required flags that are empty.
func parse(flags *flag.FlagSet, args []string, required ...string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see %s --help", flags.Arg(0), flags.Name())
	}
	for _, name := range required {
		if flags.Lookup(name).Value.String() == "" {
			return fmt.Errorf("--%s is required: see %s --help", name, flags.Name())
		}
	}
	return nil
}

func newLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }
