//go:build unix && !aix

package tlsconf

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkDir refuses a directory in which others could put files of theirs.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}
	}
	if info.Mode()&0o022 != 0 {
		return fmt.Errorf("%s: others may write to it (mode %#o); do: chmod go-w %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// checkKeyMode refuses a key that others can read. Root may let a group read it, that of the daemon.
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
