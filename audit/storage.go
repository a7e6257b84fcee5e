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

// A file is the part of an *os.File that a log uses.
type file interface {
	io.Writer // appends
	io.ReaderAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

// A headFile is the part of the head's *os.File that a log uses.
type headFile interface {
	io.WriterAt
	io.Closer
	Sync() error
}

// A storage opens the files of a log. Tests replace its functions, to make them fail or to trace them.
type storage struct {
	open     func(path string) (file, error)           // opens the file of the log, and creates it if it does not exist
	openHead func(path string) (headFile, error)       // the same for the file of the head
	link     func(path string, info fs.FileInfo) error // see linkCurrent
}

// osStorage is the storage of Options without TrustOwners.
var osStorage = storageOf(new(Options).rules())

// storageOf returns a storage of files that obey rules.
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

// rules returns the rules for the files of a log. No other user may write to them, and only the owner and the members
// of the group may read them. A folder of root may be writable by a group, as /var/log is.
func (o *Options) rules() trustedpath.Rules {
	return trustedpath.Rules{Readers: trustedpath.OwnerAndGroup, Log: true, TrustOwners: o.TrustOwners}
}

// openPrivate opens a file, and creates it with mode 0600 if it does not exist.
func openPrivate(path string, rules trustedpath.Rules) (*os.File, error) {
	f, info, err := rules.Open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		if err := sharedfile.SyncDir(filepath.Dir(path)); err != nil { // the file may be new
			_ = f.Close()
			return nil, err
		}
	}
	return f, nil
}

// fileError returns an error about the file at path.
func fileError(path, format string, args ...any) error {
	return &fs.PathError{Op: "use", Path: path, Err: fmt.Errorf(format, args...)}
}
