package unix

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// longPathsWork says that a socket may have a path that is longer than maxPath.
const longPathsWork = true

// descriptorPath returns a short path to an open file. It returns false where /proc is not mounted.
func descriptorPath(f *os.File) (string, bool) {
	path := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	_, err := os.Stat(path)
	return path, err == nil
}

// openSocket opens a socket file as a location (O_PATH), without connecting to it.
func openSocket(path string) (*os.File, error) { return os.OpenFile(path, unix.O_PATH, 0) }
