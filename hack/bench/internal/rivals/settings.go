package rivals

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/subjects"
)

// settings are the command line.
type settings struct {
	rounds   int
	duration time.Duration
	subjects []string
	loads    []string
	builds   builds
	out      string
	keep     bool
}

// builds are --sidecar NAME=PATH.
type builds []subjects.Build

func (b *builds) String() string {
	var all []string
	for _, build := range *b {
		all = append(all, build.Name+"="+build.Path)
	}
	return strings.Join(all, ", ")
}

func (b *builds) Set(value string) error {
	name, path, named := strings.Cut(value, "=")
	if !named {
		name, path = subjects.Sidecar, value
	}
	if name == "" || path == "" || strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-.", r) }) {
		return errors.New("write PATH or NAME=PATH, the name in lower case letters, digits, dots and dashes, for example pgo=/tmp/bff-sidecar")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	*b = append(*b, subjects.Build{Name: name, Path: path})
	return nil
}

func parse(args []string, output io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("rivals", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.IntVar(&s.rounds, "rounds", 3, "how often each subject is measured under each load; odd rounds go backwards")
	flags.DurationVar(&s.duration, "duration", 5*time.Second, "length of one window, in whole seconds")
	chosen := flags.String("subjects", strings.Join(subjects.Names, ","), "`names` to compare, separated by commas")
	driven := flags.String("loads", strings.Join(loadNames(), ","), "`loads`, separated by commas")
	flags.Var(&s.builds, "sidecar", "`[NAME=]PATH` of a built bff-sidecar; may be repeated to compare builds. Default: one is built from this checkout")
	flags.StringVar(&s.out, "out", "", "`path` of the report without its ending: PATH.md and PATH.json are written")
	flags.BoolVar(&s.keep, "keep", false, "keep the folder with configuration files and logs, and say where it is")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.subjects, s.loads = strings.Split(*chosen, ","), strings.Split(*driven, ",")
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q: see rivals --help", flags.Arg(0))
	case s.rounds < 1:
		return s, errors.New("--rounds: write 1 or more")
	case s.duration < time.Second || s.duration%time.Second != 0:
		return s, fmt.Errorf("--duration %s: write whole seconds, for example 5s", s.duration)
	case len(s.builds) > 0 && !slices.Contains(s.subjects, subjects.Sidecar):
		return s, fmt.Errorf("--sidecar needs the subject %q", subjects.Sidecar)
	}
	for _, name := range s.loads {
		if !slices.Contains(loadNames(), name) {
			return s, fmt.Errorf("there is no load %q: choose from %s", name, strings.Join(loadNames(), ", "))
		}
	}
	// What a proxy adds to the latency of a call needs the call without it.
	if !slices.Contains(s.subjects, subjects.Upstream) {
		s.subjects = append([]string{subjects.Upstream}, s.subjects...)
	}
	return s, nil
}
