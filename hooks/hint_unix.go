//go:build unix

package hooks

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// hinted adds to the error of a program that does not start what its author can do about it: the system's own
// words are about the program also where its interpreter is meant.
func hinted(path string, err error) error {
	info, missing := os.Stat(path)
	switch {
	case missing != nil || !info.Mode().IsRegular():
	case errors.Is(err, syscall.EACCES) && info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%w; it is not executable (chmod +x)", err)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%w; the interpreter that its first line names is not there, or that line ends with a carriage return", err)
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w; a script's first line names its interpreter, as in #!/usr/bin/env python3", err)
	}
	return err
}
