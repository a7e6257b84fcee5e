//go:build unix && !aix && !linux

package unix

import "os"

// longPathsWork says that a socket may not have a path that is longer than maxPath.
const longPathsWork = false

// descriptorPath returns false: this system has no path to an open file.
func descriptorPath(*os.File) (string, bool) { return "", false }

// openSocket is not called on this system.
func openSocket(path string) (*os.File, error) { return nil, tooLong(path) }
