package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// A file is what a log needs of an *os.File.
type file interface {
	io.Writer // at the end, always
	io.ReaderAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

// A headFile is what a log needs of the *os.File that has its head.
type headFile interface {
	io.WriterAt
	io.Closer
	Sync() error
}

// A storage makes and opens the files of a log. Tests replace its functions, to break them or to see what is
// done in which order.
type storage struct {
	open     func(path string) (file, error)           // the file of the log; it is made where there is none
	openHead func(path string) (headFile, error)       // the file of the head
	link     func(path string, info fs.FileInfo) error // see linkCurrent
}

var osStorage = storage{
	open:     openFile,
	openHead: func(path string) (headFile, error) { return openPrivate(path) },
	link:     linkCurrent,
}

// openFile opens the file of a log, to be written at its end.
func openFile(path string) (file, error) {
	f, err := openPrivate(path)
	if err != nil {
		return nil, err
	}
	if _, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, unix.O_APPEND); err != nil {
		_ = f.Close()
		return nil, &fs.PathError{Op: "append to", Path: path, Err: err}
	}
	return f, nil
}

// openPrivate opens a file, or makes it, that nobody but its owner, who is us or root, can get at. A
// link is refused, and nothing that one could wait at is waited at.
func openPrivate(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if info, failed := os.Lstat(path); err != nil && failed == nil && info.Mode().Type() == fs.ModeSymlink {
		return nil, fault(path, "it is a symbolic link; name the file itself")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; make the directory first, with mode 0700", err)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = check(path, info)
	}
	if err == nil && info.Size() == 0 {
		err = syncDir(filepath.Dir(path)) // it may be new
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func check(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fault(path, "it is no regular file (%v)", info.Mode())
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fault(path, "others can get at it (mode %04o); chmod 600 it", info.Mode().Perm())
	}
	uid := info.Sys().(*syscall.Stat_t).Uid
	if uid != 0 && int(uid) != os.Geteuid() {
		return fault(path, "it belongs to the user %d and not to us (%d) or root; chown it", uid, os.Geteuid())
	}
	return nil
}

// syncDir makes a new file in dir outlive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// fault says what is wrong with a file.
func fault(path, format string, args ...any) error {
	return &fs.PathError{Op: "use", Path: path, Err: fmt.Errorf(format, args...)}
}
