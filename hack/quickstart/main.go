// Command quickstart sets up the demo on the cluster kubectl talks to, leads
// two local ports to it, and says what to open.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/hack/stage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	prefix := flags.String("image-prefix", "localhost", "where the images live")
	tag := flags.String("image-tag", "dev", "the images' tag")
	root := flags.String("root", ".", "the folder of the checkout")
	if len(args) == 0 {
		return errors.New("say what to do: up, forward or down")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	s := &stage.Stage{Root: *root, ImagePrefix: *prefix, ImageTag: *tag, Progress: out}
	pidFile := filepath.Join(*root, ".cache", "quickstart.pid")

	switch args[0] {
	case "up":
		return up(ctx, s, pidFile, out)
	case "forward":
		stage.RunAll(ctx, stage.Forwards)
		return nil
	case "down":
		return errors.Join(stopForwarding(pidFile), s.Remove(ctx))
	default:
		return fmt.Errorf("%q is not one of up, forward, down", args[0])
	}
}

func up(ctx context.Context, s *stage.Stage, pidFile string, out io.Writer) error {
	fmt.Fprintln(out, "Setting up the demo")
	if err := s.Install(ctx); err != nil {
		return err
	}
	if err := stopForwarding(pidFile); err != nil {
		return err
	}
	if err := startForwarding(pidFile); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := stage.WaitForAnswers(waiting, stage.Forwards); err != nil {
		return err
	}
	return farewell(out)
}

// farewell says what there is now, and what to do with it.
func farewell(out io.Writer) error {
	fmt.Fprintf(out, "\n  Open       %s\n  Log in as  alice / alice-demo-pw, or bob / bob-demo-pw\n\n", stage.ShopURL)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for _, row := range [][3]string{
		{"what", "where", "look at it with"},
		{"----", "-----", "---------------"},
		{"operator", "namespace " + stage.OperatorNamespace, "kubectl -n " + stage.OperatorNamespace + " get pods"},
		{"shop and its API", "namespace " + stage.ShopNamespace, "kubectl -n " + stage.ShopNamespace + " get bffpolicies,pods"},
		{"identity provider", "namespace " + stage.ProviderNamespace, stage.IssuerURL + "/.well-known/openid-configuration"},
		{"sidecar's log", "container " + pod.ContainerName, "kubectl -n " + stage.ShopNamespace + " logs deploy/web -c " + pod.ContainerName},
	} {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", row[0], row[1], row[2])
	}
	if err := table.Flush(); err != nil {
		return err
	}
	// A cluster of our own comes with its own kubectl.
	if cache, ours := strings.CutSuffix(os.Getenv("KUBECONFIG"), "/cluster/kubeconfig"); ours {
		fmt.Fprintf(out, "\n  For kubectl: export KUBECONFIG=%s/cluster/kubeconfig PATH=%s/bin:$PATH\n", cache, cache)
	}
	fmt.Fprint(out, "\n  Take it away again with: make demo-down\n")
	return nil
}

// startForwarding leaves a process of this same program behind that keeps the
// ports open after this one has ended.
func startForwarding(pidFile string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's file: %w", err)
	}
	// `go run` deletes the executable when it ends, so the child gets a copy.
	program := strings.TrimSuffix(pidFile, ".pid")
	data, err := os.ReadFile(self)
	if err != nil {
		return fmt.Errorf("read this program's file: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(program); err != nil {
		return err
	}
	if err := os.WriteFile(program, data, 0o755); err != nil {
		return err
	}
	cmd := exec.Command(program, "forward")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start port forwarding: %w", err)
	}
	return os.WriteFile(pidFile, []byte(strconv.Itoa(cmd.Process.Pid)), 0o644)
}

// stopForwarding ends the process startForwarding left, if it is still that
// one.
func stopForwarding(pidFile string) error {
	text, err := os.ReadFile(pidFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("read %s: %w", pidFile, err)
	}
	program, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if filepath.Base(program) == "quickstart" {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop port forwarding: %w", err)
		}
	}
	return os.Remove(pidFile)
}
