package loads

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// settings say what to measure, and how much of it.
type settings struct {
	binary, out string
	only        []string
	limit       time.Duration

	clients     int // at once
	logins      int
	sessions    int // refreshed and touched
	seen        int // logged out to see when that is known, each way
	cached      int // that are to be held in memory
	used        int // that are used one after the other
	connections int // idle
	runs        int // starts
	calls       int // with connections of their own
	body        int64
	memoryLimit int64    // of the container, in bytes
	gogc        []string // "" is the runtime's own default
}

func parse(args []string, output io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("loads", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&s.binary, "sidecar", "", "built bff-sidecar; built when left out (`path`)")
	flags.StringVar(&s.out, "out", "", "write the report to `path`.md and path.json too")
	only := flags.String("only", "", "these `steps`, separated by commas: "+names())
	flags.DurationVar(&s.limit, "limit", time.Hour, "how long all of it may take")
	flags.IntVar(&s.clients, "clients", 32, "browsers at once")
	flags.IntVar(&s.logins, "logins", 100_000, "logins")
	flags.IntVar(&s.sessions, "sessions", 3_000, "sessions to refresh and to touch; all of them should fit into the replicas' memory")
	flags.IntVar(&s.seen, "seen", 1_000, "logouts to see when they are known everywhere, of each kind")
	flags.IntVar(&s.cached, "cached", 10_000, "sessions to hold in memory")
	flags.IntVar(&s.used, "used", 100_000, "sessions to use one after the other")
	flags.IntVar(&s.connections, "connections", 10_000, "idle connections")
	flags.IntVar(&s.runs, "runs", 20, "starts")
	flags.IntVar(&s.calls, "calls", 20_000, "calls with a connection for each")
	body := flags.Int64("body", 1024, "size of a large body in `MiB`")
	memory := flags.Int64("memory", 64, "memory limit of the sidecar's container in `MiB`, from which GOMEMLIMIT follows")
	gogc := flags.String("gogc", "default,50,200,400,off", "`values` of GOGC to measure memory with; the first is held to the bounds; default leaves it unset")
	share := flags.Float64("share", 1, "take this part of every count, for a quick look")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q: steps are named by --only", flags.Arg(0))
	}
	if *share <= 0 || *share > 1 {
		return s, fmt.Errorf("--share %v: write a number over 0 and up to 1", *share)
	}
	for _, count := range []*int{&s.logins, &s.sessions, &s.seen, &s.cached, &s.used, &s.connections, &s.runs, &s.calls} {
		*count = max(4, int(float64(*count)**share))
	}
	s.used = max(s.used, s.cached)
	s.body, s.memoryLimit = max(1<<20, int64(float64(*body<<20)**share)), *memory<<20
	if s.clients < 1 || s.clients > 512 {
		return s, fmt.Errorf("--clients %d: write a number from 1 to 512", s.clients)
	}
	var err error
	if s.only, err = parseOnly(*only); err != nil {
		return s, err
	}
	s.gogc, err = parseGOGC(*gogc)
	return s, err
}

func parseOnly(list string) ([]string, error) {
	var only []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		known := false
		for _, s := range steps {
			known = known || s.name == name
		}
		if !known {
			return nil, fmt.Errorf("--only: there is no step %q: write some of %s", name, names())
		}
		only = append(only, name)
	}
	return only, nil
}

func parseGOGC(list string) ([]string, error) {
	var values []string
	for value := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(value)
		switch {
		case value == "default":
			value = ""
		case value == "off" || err == nil && n > 0:
		default:
			return nil, fmt.Errorf("--gogc %q: write a percentage, off, or default", value)
		}
		values = append(values, value)
	}
	return values, nil
}
