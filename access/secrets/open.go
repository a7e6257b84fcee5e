package secrets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxSize is how long a file may be: some ten thousand users.
const maxSize = 1 << 20

// open opens a file of secrets, if nobody but its owner can read or write it, and its owner is us or
// root. A link is refused, and nothing that one could wait at is waited at.
func open(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		if info, failed := os.Lstat(path); failed == nil && info.Mode().Type() == fs.ModeSymlink {
			return nil, nil, fault(path, "it is a symbolic link; name the file itself")
		}
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = check(path, info)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func check(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fault(path, "it is no regular file (%v)", info.Mode())
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fault(path, "others can get at it (mode %04o); chmod 600 it, and change the secrets that they may have read", info.Mode().Perm())
	}
	uid := info.Sys().(*syscall.Stat_t).Uid
	if uid != 0 && int(uid) != os.Geteuid() {
		return fault(path, "it belongs to the user %d and not to us (%d) or root; work as that user (sudo -u '#%d' …), or chown it", uid, os.Geteuid(), uid)
	}
	return nil
}

// readAll reads what open has opened.
func readAll(path string, f io.Reader) (string, error) {
	var text strings.Builder
	n, err := io.Copy(&text, io.LimitReader(f, maxSize+1))
	if err == nil && n > maxSize {
		err = errTooLong(path)
	}
	return text.String(), err
}

func errTooLong(path string) error {
	return fault(path, "it is longer than %d KiB", maxSize>>10)
}

// create makes an empty file where there is none.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // since a moment
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; make the directory first, with mode 0700", err)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// fault says what is wrong with a file.
func fault(path, format string, args ...any) error {
	return &fs.PathError{Op: "use", Path: path, Err: fmt.Errorf(format, args...)}
}
