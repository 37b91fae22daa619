package loads

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadreport"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

// aimReady is what a start should take, in ms.
const aimReady = 100

func (b *bench) start(ctx context.Context, step *loadreport.Step) error {
	binary, err := os.Stat(b.binary)
	if err != nil {
		return fmt.Errorf("look at the sidecar: %w", err)
	}
	step.Set("binary_bytes", float64(binary.Size()))
	table := loadreport.Table{Title: "From exec until ready, in ms", Head: []string{"provider", "starts", "p50", "max", "CPU ms until ready, p50"}}
	for _, kind := range []struct {
		name string
		down bool
	}{{"up", false}, {"down", true}} {
		ready, cpu, err := b.starts(ctx, kind.down)
		if err != nil {
			return fmt.Errorf("provider %s: %w", kind.name, err)
		}
		spread := loadreport.SpreadOf(loadreport.Millis(ready))
		table.Add(kind.name, loadreport.Number(float64(spread.Count())), loadreport.Number(spread.At(0.5)), loadreport.Number(spread.At(1)),
			loadreport.Number(loadreport.SpreadOf(loadreport.Millis(cpu)).At(0.5)))
		step.Set("ready_provider_"+kind.name+"_p50_ms", spread.At(0.5))
		step.Set("ready_provider_"+kind.name+"_max_ms", spread.At(1))
		step.Checks = append(step.Checks, loadreport.Aim("ready with the provider "+kind.name+", p50", spread.At(0.5), aimReady, "ms"))
	}
	step.Tables = append(step.Tables, table)
	step.Notes = append(step.Notes, fmt.Sprintf("The executable has %s MiB.", mib(float64(binary.Size()))))
	return nil
}

// starts starts one sidecar after the other in a world.
func (b *bench) starts(ctx context.Context, down bool) (ready, cpu []time.Duration, err error) {
	w, err := loadworld.New(ctx, loadworld.Options{Binary: b.binary, ProviderDown: down})
	if err != nil {
		return nil, nil, err
	}
	defer w.Close()
	for i := range b.runs + 1 {
		s, err := w.Start(ctx, loadworld.PodEnvironment(b.memoryLimit)...)
		if err != nil {
			return nil, nil, err
		}
		used, err := loadworld.CPU(s.PID())
		took := s.Ready
		w.Stop(s)
		if err != nil {
			return nil, nil, err
		}
		if i > 0 { // the first brings the executable into the page cache
			ready, cpu = append(ready, took), append(cpu, used)
		}
	}
	return ready, cpu, nil
}
