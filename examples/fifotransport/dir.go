//go:build linux

package fifo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const (
	connectName = "connect" // the FIFO of the daemon
	up, down    = ".up", ".down"

	nameLen = 26 // the length of the name of a client, from rand.Text
)

// openDir opens the directory of a transport. It refuses a directory with another mode than those of the package comment.
func openDir(path string, flags int) (*os.File, unix.Stat_t, error) {
	var st unix.Stat_t
	dir, err := os.OpenFile(path, flags|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, st, err
	}
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		_ = dir.Close()
		return nil, st, os.NewSyscallError("fstat", err)
	}
	switch mode := st.Mode & 0o7777; mode {
	case 0o700, 0o1730, 0o1733:
		return dir, st, nil
	default:
		_ = dir.Close()
		return nil, st, fmt.Errorf("the directory has mode %04o; give it 0700 (its owner may connect), 1730 (its group), or 1733 (everybody)", mode)
	}
}

// openFIFO opens a FIFO without waiting for its other end. Another user may have made a file with that name, so openFIFO
// refuses everything except a FIFO with one hard link.
func openFIFO(dir *os.File, name string, flags int) (*os.File, unix.Stat_t, error) {
	var st unix.Stat_t
	fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, st, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if err = unix.Fstat(fd, &st); err == nil && (st.Mode&unix.S_IFMT != unix.S_IFIFO || st.Nlink != 1) {
		err = errors.New("it is not a FIFO that has one name")
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, st, &fs.PathError{Op: "use", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), st, nil
}

// makeFIFO makes a FIFO and opens both ends. The umask does not change mode. gid is its group; -1 leaves the default.
func makeFIFO(dir *os.File, name string, mode uint32, gid int) (*os.File, unix.Stat_t, error) {
	if err := unix.Mkfifoat(int(dir.Fd()), name, 0o600); err != nil {
		return nil, unix.Stat_t{}, &fs.PathError{Op: "mkfifo", Path: name, Err: err}
	}
	f, st, err := openFIFO(dir, name, unix.O_RDWR)
	if err == nil {
		err = errors.Join(f.Chown(-1, gid), f.Chmod(fs.FileMode(mode)))
	}
	if err != nil {
		_ = f.Close()
		remove(dir, name)
		return nil, st, err
	}
	return f, st, nil
}

// remove removes files. It ignores errors.
func remove(dir *os.File, names ...string) {
	for _, name := range names {
		_ = unix.Unlinkat(int(dir.Fd()), name, 0)
	}
}

// greeting returns the first line of a client, which names the daemon: the owner and the inode of its FIFO "connect". It fits
// into one read and one write.
func greeting(st unix.Stat_t) string {
	return fmt.Sprintf("fifo 1 %d %d %d\n", st.Uid, st.Dev, st.Ino)
}
