package loadworld

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Redis is a redis-server that keeps nothing on disk.
type Redis struct {
	// Address is host:port.
	Address string

	process *process
	client  rueidis.Client
}

func startRedis(ctx context.Context, dir string) (*Redis, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	p, err := startProcess(dir+"/redis.log", nil, "redis-server",
		"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir)
	if err != nil {
		return nil, err
	}
	r := &Redis{Address: address, process: p}
	for deadline := time.Now().Add(10 * time.Second); ; {
		r.client, err = rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{address}, DisableCache: true, ForceSingleClient: true})
		if err == nil {
			return r, nil
		}
		if time.Now().After(deadline) || p.exited() || ctx.Err() != nil {
			r.Close()
			return nil, fmt.Errorf("reach redis-server: %w", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Close ends the server at once.
func (r *Redis) Close() {
	if r.client != nil {
		r.client.Close()
	}
	r.process.kill()
}

// PID is the server's process.
func (r *Redis) PID() int { return r.process.pid() }

// Info is what a server says of itself.
type Info struct {
	Version string
	// Memory is what it has allocated, in bytes.
	Memory float64
	// CPU is the processor time it has used.
	CPU time.Duration
	// Calls are the commands it has carried out, also those in scripts, by name.
	Calls map[string]float64
}

// Info asks the server.
func (r *Redis) Info(ctx context.Context) (Info, error) {
	text, err := r.client.Do(ctx, r.client.B().Info().Section("server", "memory", "cpu", "commandstats").Build()).ToString()
	if err != nil {
		return Info{}, fmt.Errorf("ask redis-server for INFO: %w", err)
	}
	return parseInfo(text), nil
}

func parseInfo(text string) Info {
	info := Info{Calls: map[string]float64{}}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		number, _ := strconv.ParseFloat(value, 64) // 0 where it is none
		switch command, isCommand := strings.CutPrefix(name, "cmdstat_"); {
		case name == "redis_version":
			info.Version = value
		case name == "used_memory":
			info.Memory = number
		case name == "used_cpu_user" || name == "used_cpu_sys":
			info.CPU += time.Duration(number * float64(time.Second))
		case isCommand:
			calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			if n, err := strconv.ParseFloat(calls, 64); err == nil {
				info.Calls[command] = n
			}
		}
	}
	return info
}

// Keys is how many keys there are.
func (r *Redis) Keys(ctx context.Context) (int64, error) {
	n, err := r.client.Do(ctx, r.client.B().Dbsize().Build()).AsInt64()
	if err != nil {
		return 0, fmt.Errorf("count keys: %w", err)
	}
	return n, nil
}

// Change writes a key, as something that lives a minute.
func (r *Redis) Change(ctx context.Context, key string) error {
	if err := r.client.Do(ctx, r.client.B().Set().Key(key).Value("changed").ExSeconds(60).Build()).Error(); err != nil {
		return fmt.Errorf("change a key: %w", err)
	}
	return nil
}

// Kind are the keys of one kind: bff:{uid}:KIND:rest.
type Kind struct {
	Name string
	// Count is how many there are, Bytes what one takes by MEMORY USAGE, on average
	// over a sample.
	Count, Bytes float64
}

// Kinds counts all keys, and asks for the memory of some of each kind: the first
// that SCAN finds, which takes them from all over the hash table.
func (r *Redis) Kinds(ctx context.Context, sample int) ([]Kind, error) {
	found := map[string]*Kind{}
	for cursor := uint64(0); ; {
		entry, err := r.client.Do(ctx, r.client.B().Scan().Cursor(cursor).Count(1000).Build()).AsScanEntry()
		if err != nil {
			return nil, fmt.Errorf("scan keys: %w", err)
		}
		for _, key := range entry.Elements {
			name := kindOf(key)
			if found[name] == nil {
				found[name] = &Kind{Name: name}
			}
			if k := found[name]; k.Count < float64(sample) {
				bytes, err := r.client.Do(ctx, r.client.B().MemoryUsage().Key(key).Samples(0).Build()).AsInt64()
				if rueidis.IsRedisNil(err) {
					continue // gone meanwhile
				}
				if err != nil {
					return nil, fmt.Errorf("ask for a key's memory: %w", err)
				}
				k.Bytes += (float64(bytes) - k.Bytes) / (k.Count + 1)
			}
			found[name].Count++
		}
		if cursor = entry.Cursor; cursor == 0 {
			break
		}
	}
	var kinds []Kind
	for _, name := range slices.Sorted(maps.Keys(found)) {
		kinds = append(kinds, *found[name])
	}
	return kinds, nil
}

func kindOf(key string) string {
	_, rest, _ := strings.Cut(key, "}:")
	kind, _, _ := strings.Cut(rest, ":")
	return kind
}
