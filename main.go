// Command bff-operator gives the pods of single-page applications a
// token-handling sidecar, as BFFPolicies say.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	kubeconfig "sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers"
	"github.com/bff-operator/bff-operator/webhook"
)

// version is set when the binary is built: -ldflags "-X main.version=v1.2.3".
var version = "dev"

// leaseName is the Lease by which replicas elect the one that runs controllers.
const leaseName = "bff-operator"

// klogOnce guards the logger of client-go. The process has one, and it must not
// be set while it is in use.
var klogOnce sync.Once

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bff-operator:", err)
		os.Exit(1)
	}
}

// run is the operator, until ctx ends. It logs to out.
func run(ctx context.Context, args []string, out io.Writer) error {
	options, err := parse(args, out)
	if err != nil {
		return err
	}
	logger := logr.FromSlogHandler(options.logHandler(out))
	log.SetLogger(logger)
	klogOnce.Do(func() { klog.SetLogger(logger) })
	logger.Info("starting", "version", version, "mode", options.mode)

	cluster, err := kubeconfig.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	mgr, err := newManager(ctx, cluster, logger, options)
	if err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

// newManager connects controllers, webhook and health checks.
func newManager(ctx context.Context, cluster *rest.Config, logger logr.Logger, o *options) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register types: %w", err)
		}
	}
	hook := webhook.New(o.webhook)
	cached := controllers.CacheOptions()
	maps.Copy(cached, hook.CacheOptions())

	mgr, err := manager.New(cluster, manager.Options{
		Scheme: scheme,
		Logger: logger,
		Cache: cache.Options{
			ByObject:         cached,
			DefaultTransform: cache.TransformStripManagedFields(),
			// A read that nobody planned is an error, and not a cache of everything.
			ReaderFailOnMissingInformer: true,
		},
		Client:                 client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Metrics:                metricsserver.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress: o.healthAddress,
		WebhookServer:          hook.Server(),
		// A webhook alone has nothing to lead.
		LeaderElection:          o.leaderElect && o.runsControllers(),
		LeaderElectionID:        leaseName,
		LeaderElectionNamespace: o.webhook.Namespace,
		// The process ends right after the manager, so the next leader need not wait.
		LeaderElectionReleaseOnCancel: true,
		// Long enough to sit out a restart of the API server, which would end the
		// leader's process and its webhook with it; short enough that after a crash, or
		// an uninstall and install, new policies do not wait long to be written.
		LeaseDuration: ptr.To(30 * time.Second),
		RenewDeadline: ptr.To(20 * time.Second),
		RetryPeriod:   ptr.To(4 * time.Second),
		Controller: config.Controller{
			// A standby knows everything by the time it leads.
			EnableWarmup:          ptr.To(true),
			ReconciliationTimeout: time.Minute,
			// Names need to be unique in a process; tests run several operators in one.
			SkipNameValidation: ptr.To(true),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return nil, fmt.Errorf("add health checks: %w", err)
	}
	if o.runsWebhook() {
		if err := hook.Setup(ctx, mgr); err != nil {
			return nil, fmt.Errorf("set up the webhook: %w", err)
		}
		if err := mgr.AddReadyzCheck("webhook", hook.Ready); err != nil {
			return nil, fmt.Errorf("add readiness check: %w", err)
		}
	}
	if o.runsControllers() {
		reconciler := &controllers.PolicyReconciler{
			Client:        mgr.GetClient(),
			Live:          mgr.GetAPIReader(),
			Events:        mgr.GetEventRecorder("bff-operator"),
			Sidecar:       o.webhook.Sidecar,
			StorePassword: o.storePassword,
			KeyRotation:   o.keyRotation,
			Clock:         time.Now,
		}
		if err := reconciler.SetupWithManager(mgr); err != nil {
			return nil, err
		}
	}
	return mgr, nil
}

// options are the command line.
type options struct {
	mode           string
	webhook        webhook.Options
	storePassword  func() ([]byte, error)
	keyRotation    time.Duration
	metricsAddress string
	healthAddress  string
	leaderElect    bool
	logLevel       slog.Level
	logFormat      string
}

func (o *options) runsControllers() bool { return o.mode != "webhook" }
func (o *options) runsWebhook() bool     { return o.mode != "controller" }

func (o *options) logHandler(out io.Writer) slog.Handler {
	handlerOptions := &slog.HandlerOptions{Level: o.logLevel}
	if o.logFormat == "text" {
		return slog.NewTextHandler(out, handlerOptions)
	}
	return slog.NewJSONHandler(out, handlerOptions)
}

const usage = `bff-operator keeps the BFFPolicies of a cluster and puts the sidecar into labelled pods.

It finds the cluster by the service account it runs with, or by $KUBECONFIG.

Flags:
`

// parse reads the command line. The error says what to write instead.
func parse(args []string, out io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bff-operator", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() { fmt.Fprint(out, usage); flags.PrintDefaults() }

	flags.StringVar(&o.mode, "mode", "all", "what to run: `all`, controller or webhook")
	flags.StringVar(&o.webhook.Namespace, "namespace", os.Getenv("POD_NAMESPACE"),
		"`namespace` the operator runs in (default $POD_NAMESPACE)")
	flags.BoolVar(&o.leaderElect, "leader-elect", true,
		"let one replica at a time run the controllers; the webhook runs in all of them")

	side := &o.webhook.Sidecar
	flags.StringVar(&side.Image, "sidecar-image", "", "`image` of the sidecar, with tag or digest (required)")
	pullPolicy := flags.String("sidecar-image-pull-policy", string(corev1.PullIfNotPresent),
		"pull `policy` of the sidecar's image: Always, IfNotPresent or Never")
	pullSecrets := flags.String("sidecar-image-pull-secrets", "",
		"`names` of image pull secrets, separated by commas, to add to injected pods; they must exist in the pods' namespaces")
	quantities := []*quantity{
		{name: "sidecar-cpu-request", value: "10m", usage: "CPU `quantity` the sidecar requests"},
		{name: "sidecar-memory-request", value: "32Mi", usage: "memory `quantity` the sidecar requests"},
		{name: "sidecar-cpu-limit", value: "", usage: "CPU `quantity` the sidecar is limited to; empty sets no limit"},
		{name: "sidecar-memory-limit", value: "128Mi", usage: "memory `quantity` the sidecar is limited to; GOMEMLIMIT is 90% of it"},
	}
	for _, q := range quantities {
		flags.StringVar(&q.value, q.name, q.value, q.usage)
	}

	var store v1alpha1.RedisStore
	flags.StringVar(&store.Address, "store-address", "",
		"`host:port` of the Redis or Valkey server for policies that name none; empty, every policy must name its own")
	flags.StringVar(&store.Username, "store-username", "", "ACL `user` to log in to that server as; empty is its default user")
	passwordFile := flags.String("store-password-file", "",
		"`file` with the password of that server; it is read again now and then, and copied into the Secret "+pod.KeysSecretName+" of every namespace that uses the server")
	storeTLS := flags.Bool("store-tls", false, "connect to that server by TLS")

	flags.DurationVar(&o.keyRotation, "key-rotation-interval", 30*24*time.Hour,
		"how `long` a key seals new sessions before another one does, 24h or more; 0 rotates no keys")

	flags.IntVar(&o.webhook.Port, "webhook-port", 10250,
		"`port` the webhook listens on; 10250 is the one private GKE clusters let the control plane reach")
	flags.StringVar(&o.webhook.ServiceName, "webhook-service-name", "bff-operator-webhook", "`name` of the Service that leads to the webhook")
	flags.StringVar(&o.webhook.ConfigurationName, "webhook-configuration-name", "bff-operator",
		"`name` of the MutatingWebhookConfiguration whose caBundle the operator keeps")
	flags.StringVar(&o.webhook.CASecretName, "webhook-ca-secret-name", "bff-operator-webhook-ca",
		"`name` of the Secret the operator keeps the webhook's certificate authority in")

	flags.StringVar(&o.metricsAddress, "metrics-bind-address", ":8080", "`address` of the metrics endpoint; 0 turns it off")
	flags.StringVar(&o.healthAddress, "health-probe-bind-address", ":8081", "`address` of /healthz and /readyz; 0 turns them off")
	level := flags.String("log-level", "info", "least `level` to log: debug, info, warn or error")
	flags.StringVar(&o.logFormat, "log-format", "json", "`format` of the log: json or text")

	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	side.Version = version
	side.ImagePullPolicy = corev1.PullPolicy(*pullPolicy)
	for name := range strings.SplitSeq(*pullSecrets, ",") {
		if name = strings.TrimSpace(name); name != "" {
			side.ImagePullSecrets = append(side.ImagePullSecrets, name)
		}
	}
	return o, errors.Join(
		noMore(flags.Args()),
		oneOf("mode", o.mode, "all", "controller", "webhook"),
		oneOf("sidecar-image-pull-policy", *pullPolicy, "Always", "IfNotPresent", "Never"),
		oneOf("log-format", o.logFormat, "json", "text"),
		set("namespace", o.webhook.Namespace, "write the namespace the operator runs in, or set $POD_NAMESPACE"),
		set("sidecar-image", side.Image, "write the sidecar's image, for example ghcr.io/bff-operator/bff-sidecar:v1"),
		set("webhook-service-name", o.webhook.ServiceName, "write the name of the webhook's Service"),
		set("webhook-configuration-name", o.webhook.ConfigurationName, "write the name of the MutatingWebhookConfiguration"),
		set("webhook-ca-secret-name", o.webhook.CASecretName, "write a name for the Secret"),
		o.checkKeyRotation(),
		o.setLogLevel(*level),
		o.setResources(quantities),
		o.setStore(store, *passwordFile, *storeTLS),
	)
}

func noMore(args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unexpected argument %q: the operator takes flags only, see --help", args[0])
}

func oneOf(name, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("--%s=%s is none of %s", name, value, strings.Join(allowed, ", "))
}

func set(name, value, cure string) error {
	if value != "" {
		return nil
	}
	return fmt.Errorf("--%s is missing: %s", name, cure)
}

// checkKeyRotation keeps the ring, which holds keys for as long as sessions may
// live, within what a ring may hold.
func (o *options) checkKeyRotation() error {
	if o.keyRotation == 0 || o.keyRotation >= 24*time.Hour {
		return nil
	}
	return fmt.Errorf("--key-rotation-interval=%s is too short: write 24h or more, or 0 to rotate no keys", o.keyRotation)
}

func (o *options) setLogLevel(text string) error {
	if err := o.logLevel.UnmarshalText([]byte(text)); err != nil {
		return fmt.Errorf("--log-level=%s is none of debug, info, warn, error", text)
	}
	return nil
}

// quantity is a flag for an amount of a resource.
type quantity struct{ name, value, usage string }

// setResources takes the quantities in the order cpu request, memory request,
// cpu limit, memory limit. An empty one is left out.
func (o *options) setResources(quantities []*quantity) error {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	places := []struct {
		list corev1.ResourceList
		name corev1.ResourceName
	}{{requests, corev1.ResourceCPU}, {requests, corev1.ResourceMemory}, {limits, corev1.ResourceCPU}, {limits, corev1.ResourceMemory}}
	for i, q := range quantities {
		if q.value == "" {
			continue
		}
		parsed, err := resource.ParseQuantity(q.value)
		if err != nil || parsed.Sign() <= 0 {
			return fmt.Errorf("--%s=%s is no quantity: write for example 10m (CPU) or 32Mi (memory)", q.name, q.value)
		}
		places[i].list[places[i].name] = parsed
	}
	for name, limit := range limits {
		if request, has := requests[name]; has && request.Cmp(limit) > 0 {
			return fmt.Errorf("the sidecar's %s request %s is more than its limit %s: lower one or raise the other", name, request.String(), limit.String())
		}
	}
	o.webhook.Sidecar.Resources = corev1.ResourceRequirements{Requests: requests, Limits: limits}
	return nil
}

// setStore makes the session store of policies that name none.
func (o *options) setStore(redis v1alpha1.RedisStore, passwordFile string, withTLS bool) error {
	if redis.Address == "" {
		if redis.Username != "" || passwordFile != "" || withTLS {
			return errors.New("--store-username, --store-password-file and --store-tls need --store-address")
		}
		return nil
	}
	if host, port, err := net.SplitHostPort(redis.Address); err != nil || host == "" || !isPort(port) {
		return fmt.Errorf("--store-address=%s is no host:port: write for example valkey.cache.svc:6379", redis.Address)
	}
	redis.TLS = v1alpha1.StoreTLSDisabled
	if withTLS {
		redis.TLS = v1alpha1.StoreTLSEnabled
	}
	if passwordFile != "" {
		redis.PasswordSecretRef = &v1alpha1.SecretKeyReference{Name: pod.KeysSecretName, Key: pod.StorePasswordKey}
		o.storePassword = func() ([]byte, error) { return readPassword(passwordFile) }
		if _, err := o.storePassword(); err != nil {
			return fmt.Errorf("--store-password-file: %w", err)
		}
	}
	o.webhook.Sidecar.Store = &v1alpha1.SessionStore{Type: v1alpha1.StoreRedis, Redis: &redis}
	return nil
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}

// readPassword reads a password from a file, without the line end that editors
// and kubectl leave there.
func readPassword(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	password := []byte(strings.TrimRight(string(data), "\r\n"))
	if len(password) == 0 {
		return nil, fmt.Errorf("%s is empty", file)
	}
	return password, nil
}
