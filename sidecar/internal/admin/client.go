package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Drain tells the sidecar at address, which must be this pod's, to drain, and
// then waits so that endpoints and load balancers stop sending before the pod
// ends. It returns early with the context's error.
func Drain(ctx context.Context, address string, wait time.Duration) error {
	call, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(call, http.MethodPost, "http://"+address+"/drain", nil)
	if err != nil {
		return fmt.Errorf("start draining: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("start draining: %w", err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("start draining: the sidecar at %s answered %s", address, answer.Status)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for endpoints to notice: %w", ctx.Err())
	}
}
