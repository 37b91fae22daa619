package recipe

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/bff-operator/bff-operator/hack/images/internal/image"
)

// redis takes Debian's redis-server and redis-cli from this machine, with the
// libraries they load and nothing else. It needs no writable path but /data.
func redis(ctx context.Context, k Kitchen, _, architecture string) (image.Spec, error) {
	if architecture != runtime.GOARCH {
		return image.Spec{}, fmt.Errorf("it is made of this machine's own files: only %s can be made here, not %s", runtime.GOARCH, architecture)
	}
	if err := installRedis(ctx, k); err != nil {
		return image.Spec{}, err
	}
	version, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", "redis-server").Output()
	if err != nil {
		return image.Spec{}, fmt.Errorf("ask dpkg for the version of redis-server: %w", err)
	}
	programs := []string{"/usr/bin/redis-server", "/usr/bin/redis-cli"}
	libraries, err := sharedLibraries(ctx, programs...)
	if err != nil {
		return image.Spec{}, err
	}
	files := []image.File{
		{Path: "/data", Directory: true, Owner: nonRoot},
		{Path: "/etc/passwd", Content: []byte("redis:x:65532:65532::/data:/usr/sbin/nologin\n")},
		{Path: "/etc/group", Content: []byte("redis:x:65532:\n")},
		{Path: "/usr/share/doc/redis-server/copyright", Source: "/usr/share/doc/redis-server/copyright"},
	}
	for _, program := range append(programs, libraries...) {
		source, err := filepath.EvalSymlinks(program)
		if err != nil {
			return image.Spec{}, fmt.Errorf("resolve %q: %w", program, err)
		}
		files = append(files, image.File{Path: program, Source: source, Mode: 0o755})
	}
	return image.Spec{
		Files:      files,
		Entrypoint: []string{"/usr/bin/redis-server"},
		WorkingDir: "/data",
		Labels: map[string]string{
			"org.opencontainers.image.version":  string(version),
			"org.opencontainers.image.licenses": "BSD-3-Clause",
		},
	}, nil
}

// installRedis installs redis-server when it is missing and this process may.
func installRedis(ctx context.Context, k Kitchen) error {
	if _, err := os.Stat("/usr/bin/redis-server"); err == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("redis-server is missing and there is no apt-get here: make this image on Debian or Ubuntu")
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("redis-server is missing: run `sudo apt-get install redis-server`")
	}
	for _, args := range [][]string{{"update", "-q"}, {"install", "-q", "-y", "--no-install-recommends", "redis-server"}} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = k.Log, k.Log
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w", strings.Join(args, " "), err)
		}
	}
	return nil
}
