package audit

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rudderpost/rudderpost/internal/sharedfile"
	"github.com/rudderpost/rudderpost/internal/trustedpath"

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

// osStorage opens files where only root and this process's user may own the path.
var osStorage = storageOf(new(Options).rules())

// storageOf opens files by the rules.
func storageOf(rules trustedpath.Rules) storage {
	return storage{
		open: func(path string) (file, error) {
			f, err := openPrivate(path, rules)
			if err != nil {
				return nil, err
			}
			if _, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, unix.O_APPEND); err != nil {
				_ = f.Close()
				return nil, &fs.PathError{Op: "append to", Path: path, Err: err}
			}
			return f, nil
		},
		openHead: func(path string) (headFile, error) { return openPrivate(path, rules) },
		link:     linkCurrent,
	}
}

// rules say which files a log uses: no other user may write to them, and no user but the owner and the members of the
// group may read them. What the group of root's folder may do, as with /var/log, is root's decision.
func (o *Options) rules() trustedpath.Rules {
	return trustedpath.Rules{Readers: trustedpath.OwnerAndGroup, Log: true, TrustOwners: o.TrustOwners}
}

// openPrivate opens a file, or makes it with mode 0600.
func openPrivate(path string, rules trustedpath.Rules) (*os.File, error) {
	f, info, err := rules.Open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		if err := sharedfile.SyncDir(filepath.Dir(path)); err != nil { // it may be new
			_ = f.Close()
			return nil, err
		}
	}
	return f, nil
}

// fault says what is wrong with a file.
func fault(path, format string, args ...any) error {
	return &fs.PathError{Op: "use", Path: path, Err: fmt.Errorf(format, args...)}
}
