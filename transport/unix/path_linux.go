package unix

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// longPaths says that sockets may have paths that do not fit into a socket address.
const longPaths = true

// descriptorPath returns a short path to an open file. There is none where /proc is not mounted.
func descriptorPath(f *os.File) (string, bool) {
	path := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	_, err := os.Stat(path)
	return path, err == nil
}

// openSocket opens a socket file as a place in the file system, without connecting to it.
func openSocket(path string) (*os.File, error) { return os.OpenFile(path, unix.O_PATH, 0) }
