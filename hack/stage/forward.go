package stage

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Forward is one port of this machine that leads into the cluster.
type Forward struct {
	Namespace string
	// Target is what kubectl port-forward takes: svc/name or pod/name.
	Target string

	Local, Remote int
}

// Forwards are the ports a browser on this machine needs.
var Forwards = []Forward{
	{ShopNamespace, "svc/web", 8080, 80},
	{ProviderNamespace, "svc/idp", 8090, 8090},
}

// Run keeps the forward up until ctx ends: kubectl port-forward ends with the
// pod it leads to, so it is started again, at most once a second.
func (f Forward) Run(ctx context.Context) {
	for ctx.Err() == nil {
		cmd := exec.CommandContext(ctx, "kubectl", "port-forward", "-n", f.Namespace, f.Target,
			fmt.Sprintf("%d:%d", f.Local, f.Remote), "--address", "127.0.0.1")
		// The child goes when this process goes, however it ends.
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
		_ = cmd.Run()
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// RunAll keeps all forwards up until ctx ends.
func RunAll(ctx context.Context, forwards []Forward) {
	var running sync.WaitGroup
	for _, forward := range forwards {
		running.Go(func() { forward.Run(ctx) })
	}
	running.Wait()
}

// WaitForAnswers waits until an HTTP server answers, whatever it says, at the
// local end of every forward.
func WaitForAnswers(ctx context.Context, forwards []Forward) error {
	client := &http.Client{
		Timeout:       2 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	for _, forward := range forwards {
		url := fmt.Sprintf("http://127.0.0.1:%d/", forward.Local)
		for !answers(ctx, client, url) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for port-forward to %s in %s at %s: %w", forward.Target, forward.Namespace, url, ctx.Err())
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
	return nil
}

func answers(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return true
}
