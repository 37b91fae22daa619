package host

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// mount is one line of mountinfo.
type mount struct{ Point, Type string }

// parseMounts reads proc_pid_mountinfo(5): the mount point is field 5, the
// type follows a lone hyphen, spaces are written \040.
func parseMounts(mountinfo string) []mount {
	var mounts []mount
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(line, " - ")
		fields, rest := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 5 || len(rest) == 0 {
			continue
		}
		point := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[4])
		mounts = append(mounts, mount{Point: point, Type: rest[0]})
	}
	return mounts
}

// below picks the mount points in a folder, the latest mounted first, which is
// the order to unmount them in.
func below(folder string, mounts []mount) []string {
	var points []string
	for _, m := range mounts {
		if m.Point == folder || strings.HasPrefix(m.Point, strings.TrimSuffix(folder, "/")+"/") {
			points = append(points, m.Point)
		}
	}
	slices.Reverse(points)
	return points
}

// Unmount unmounts everything in a folder and makes sure that nothing is left,
// so that the folder may be deleted without deleting what was mounted.
func Unmount(folder string) error {
	points, err := mountsBelow(folder)
	if err != nil {
		return err
	}
	for _, point := range points {
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			return fmt.Errorf("unmount %q: %w", point, err)
		}
	}
	if points, err = mountsBelow(folder); err != nil {
		return err
	}
	if len(points) > 0 {
		return fmt.Errorf("still mounted: %s", strings.Join(points, ", "))
	}
	return nil
}

func mountsBelow(folder string) ([]string, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	return below(folder, parseMounts(string(mountinfo))), nil
}
