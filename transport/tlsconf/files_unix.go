//go:build unix && !aix

package tlsconf

import (
	"fmt"
	"io/fs"
	"syscall"
)

// checkKeyMode refuses a key that other users can read. The group may read a key of root's.
func checkKeyMode(path string, info fs.FileInfo) error {
	bad := fs.FileMode(0o077)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid == 0 {
		bad = 0o037
	}
	if info.Mode()&bad != 0 {
		return fmt.Errorf("%s: others may read this key (mode %#o); do: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	return nil
}
