package instructions

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

// budget is hack/bench/budget.yaml.
type budget struct {
	// Architecture and Go are those that the figures were counted with.
	Architecture string `json:"architecture"`
	Go           string `json:"go"`
	// AllowedPercent is how much more than the figures is still accepted.
	AllowedPercent float64 `json:"allowedPercent"`
	// Instructions of one call, by what the call is.
	Instructions map[string]int64 `json:"instructions"`
}

func readBudget(path string) (budget, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return budget{}, fmt.Errorf("read the budget: %w", err)
	}
	var b budget
	if err := yaml.UnmarshalStrict(data, &b); err != nil {
		return budget{}, fmt.Errorf("read the budget %s: %w", path, err)
	}
	if b.Architecture == "" || b.AllowedPercent <= 0 || len(b.Instructions) == 0 {
		return budget{}, fmt.Errorf("read the budget %s: write architecture, allowedPercent and instructions", path)
	}
	return b, nil
}

const head = `# How many instructions the sidecar may execute for one call. No noise of a
# machine changes their number. "go run ./hack/bench instructions" compares with
# it; --set writes it anew, after a change that is worth its price or a saving.
`

func (b budget) write(path string) error {
	data, err := yaml.Marshal(b)
	if err != nil {
		return fmt.Errorf("write the budget: %w", err)
	}
	if err := os.WriteFile(path, append([]byte(head), data...), 0o644); err != nil {
		return fmt.Errorf("write the budget: %w", err)
	}
	return nil
}

// verdict is what a count means.
type verdict int

const (
	within verdict = iota
	below          // by more than is allowed above: the budget is out of date
	above
)

// judge compares a count with the budget of that name.
func (b budget) judge(name string, counted int64) (verdict, error) {
	planned, there := b.Instructions[name]
	if !there || planned <= 0 {
		return 0, fmt.Errorf("the budget has no figure for %s: run with --set", name)
	}
	switch more := 100 * float64(counted-planned) / float64(planned); {
	case more > b.AllowedPercent:
		return above, nil
	case more < -b.AllowedPercent:
		return below, nil
	}
	return within, nil
}
