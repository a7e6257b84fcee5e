//go:build unix

package hooks

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// trusted says why a program must not run with the daemon's rights: somebody else can change it, or a
// file that it is given by an absolute path, or a folder above them. What a group may change is taken for
// its owner's business.
func trusted(argv []string) error {
	for i, arg := range argv {
		if !filepath.IsAbs(arg) {
			continue
		}
		info, err := os.Stat(arg)
		if i > 0 && (err != nil || !info.Mode().IsRegular()) {
			continue // no file, and the program's business
		}
		if err != nil {
			return err
		}
		target, err := filepath.EvalSymlinks(arg)
		if err != nil {
			return err
		}
		for _, path := range []string{filepath.Clean(arg), target} {
			if err := areOurs(path); err != nil {
				return fmt.Errorf("exec: '%s' must not be run: %w", arg, err)
			}
		}
	}
	return nil
}

// areOurs asks about a file and all folders above it.
func areOurs(path string) error {
	for {
		if err := isOurs(path); err != nil {
			return err
		}
		above := filepath.Dir(path)
		if above == path {
			return nil
		}
		path = above
	}
}

// isOurs says who else can change a file, or the names in a folder.
func isOurs(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("'%s' belongs to the user %d; it must belong to root or to the daemon's user", path, stat.Uid)
	}
	if mode := info.Mode(); mode.Perm()&0o002 != 0 && mode&fs.ModeSticky == 0 {
		return fmt.Errorf("'%s' can be written by everybody", path)
	}
	return nil
}
