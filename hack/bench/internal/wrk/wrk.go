// Package wrk drives wrk, which keeps a number of connections busy.
package wrk

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/process"
	"github.com/bff-operator/bff-operator/hack/bench/internal/window"
)

// Options say how much load.
type Options struct {
	Connections int
	// Duration is in whole seconds.
	Duration time.Duration
	// Dir is where the script for wrk goes.
	Dir string
}

// threads of wrk: it needs about one core for two of any proxy's.
const threads = 2

//go:embed report.lua
var reportScript string

// Run sends the request over all connections, each as soon as the last was
// answered.
func Run(ctx context.Context, request window.Request, o Options) (window.Result, error) {
	path := filepath.Join(o.Dir, "wrk.lua")
	if err := os.WriteFile(path, []byte(script(request)), 0o600); err != nil {
		return window.Result{}, fmt.Errorf("write a script for wrk: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Duration+30*time.Second)
	defer cancel()
	output, err := process.Run(ctx, nil, "wrk", "-t"+strconv.Itoa(threads), "-c"+strconv.Itoa(o.Connections),
		"-d"+strconv.Itoa(int(o.Duration/time.Second))+"s", "--timeout", "10s", "-s", path, "http://"+request.Address+request.Path)
	if err != nil {
		return window.Result{}, err
	}
	return parse(output)
}

// script has wrk send the header fields and print its figures as JSON.
func script(request window.Request) string {
	var b strings.Builder
	for _, f := range request.Header {
		fmt.Fprintf(&b, "wrk.headers[%s] = %s\n", quote(f.Name), quote(f.Value))
	}
	return b.String() + reportScript
}

// quote writes a string of Lua.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(s) + `"`
}

// figures are what report.lua prints.
type figures struct {
	Requests *int   `json:"requests"`
	Micros   *int64 `json:"micros"`
	P50      int64  `json:"p50"`
	P99      int64  `json:"p99"`
	Status   int    `json:"status"`
	Connect  int    `json:"connect"`
	Read     int    `json:"read"`
	Write    int    `json:"write"`
	Timeout  int    `json:"timeout"`
}

// parse finds the figures in what wrk prints, which is a summary for people
// first.
func parse(output string) (window.Result, error) {
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var f figures
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			return window.Result{}, fmt.Errorf("read the figures of wrk %q: %w", line, err)
		}
		if f.Requests == nil || f.Micros == nil {
			return window.Result{}, fmt.Errorf("read the figures of wrk %q: requests or time is missing", line)
		}
		return window.Result{
			Requests: *f.Requests, Time: time.Duration(*f.Micros) * time.Microsecond,
			P50: time.Duration(f.P50) * time.Microsecond, P99: time.Duration(f.P99) * time.Microsecond,
			NotOK: f.Status, Failed: f.Connect + f.Read + f.Write + f.Timeout,
		}, nil
	}
	return window.Result{}, errors.New("wrk has printed no figures:\n" + output)
}
