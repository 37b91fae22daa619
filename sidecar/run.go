package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"path"
	"time"

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/sidecar/internal/admin"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
	"github.com/bff-operator/bff-operator/sidecar/internal/server"
	"github.com/bff-operator/bff-operator/sidecar/internal/telemetry"
)

// envLogLevel sets the log level where no flag does.
const envLogLevel = "BFF_LOG_LEVEL"

const usage = `The Backend for Frontend in front of one pod's application.

Usage:
  bff-sidecar [flags]        serve
  bff-sidecar drain [flags]  take the sidecar in this pod out of service, and wait
  bff-sidecar version

Each prints its flags with --help.
`

// run does what the first argument says and returns when that is done, when ctx
// ends, or with the reason it could not go on.
func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	command, rest := "serve", args
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, rest = args[0], args[1:]
	}
	var err error
	switch command {
	case "serve":
		err = runServe(ctx, rest, getenv, stdout)
	case "drain":
		err = runDrain(ctx, rest, stdout)
	case "version":
		fmt.Fprintln(stdout, version)
	case "help":
		fmt.Fprint(stdout, usage)
	default:
		err = fmt.Errorf("there is no command %q: write serve, drain or version", command)
	}
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

func runServe(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	flags := newFlags("bff-sidecar", stdout)
	at := config.Location{ApplicationPort: getenv(pod.EnvApplicationPort), PodIP: getenv(pod.EnvPodIP)}
	flags.StringVar(&at.PolicyFile, "policy", path.Join(pod.PolicyDir, pod.PolicyFile), "`file` with the policy")
	flags.StringVar(&at.SecretsDir, "secrets", pod.SecretsDir, "`directory` with a file NAME/KEY for each secret and the key ring")
	traffic := flags.String("listen", fmt.Sprintf(":%d", pod.TrafficPort), "`address` for browsers")
	adminAddress := flags.String("admin-listen", fmt.Sprintf(":%d", pod.AdminPort), "`address` for probes, metrics and status")
	level := flags.String("log-level", cmp.Or(getenv(envLogLevel), "info"), "debug, info, warn or error; also "+envLogLevel)
	if err := parse(flags, args); err != nil {
		return err
	}

	logger, err := telemetry.NewLogger(stdout, *level)
	if err != nil {
		return err
	}
	source, err := config.Open(at.Load, config.DefaultInterval, time.Now)
	if err != nil {
		return err
	}
	listeners, err := listen(ctx, *traffic, *adminAddress)
	if err != nil {
		return err
	}
	return server.Run(ctx, server.RunOptions{
		Source: source, Traffic: listeners[0], Admin: listeners[1],
		Options: server.Options{Version: version, Metrics: telemetry.NewMetrics(version), Logger: logger},
	})
}

// listen opens all of the addresses, or none.
func listen(ctx context.Context, addresses ...string) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, address := range addresses {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			for _, open := range listeners {
				open.Close()
			}
			return nil, fmt.Errorf("listen on %q: %w", address, err)
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

func runDrain(ctx context.Context, args []string, stdout io.Writer) error {
	flags := newFlags("bff-sidecar drain", stdout)
	address := flags.String("admin", fmt.Sprintf("127.0.0.1:%d", pod.AdminPort), "`address` of the sidecar's admin port, in this pod")
	wait := flags.Duration("wait", 5*time.Second, "how long to wait, so that endpoints and load balancers notice before the pod ends")
	if err := parse(flags, args); err != nil {
		return err
	}
	return admin.Drain(ctx, *address, *wait)
}

func newFlags(name string, output io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(output)
	return flags
}

func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see %s --help", flags.Arg(0), flags.Name())
	}
	return nil
}
