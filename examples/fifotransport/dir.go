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
	knock    = "knock" // the daemon's FIFO
	up, down = ".up", ".down"

	nameLen = 26 // of a client's name: that of rand.Text
)

// openDir opens the directory that a transport meets in, and says whose it is.
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

// openFIFO opens a FIFO without waiting for its other end, and says whose it is. Whoever can make a
// file of that name chooses what it is: anything but a FIFO with one name is refused.
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

// makeFIFO makes a FIFO with exactly that mode, which the umask has no say in, and with that group
// where it is not -1. It is open at both ends.
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

// remove removes names. One that is not there is fine.
func remove(dir *os.File, names ...string) {
	for _, name := range names {
		_ = unix.Unlinkat(int(dir.Fd()), name, 0)
	}
}

// greeting is what a client says first: which daemon it means, by the owner of its "knock" and by
// the file itself. It fits into one read and one write.
func greeting(st unix.Stat_t) string {
	return fmt.Sprintf("fifo 1 %d %d %d\n", st.Uid, st.Dev, st.Ino)
}
