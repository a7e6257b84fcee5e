package secrets

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/internal/sharedfile"
	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// checkInterval is the shortest time between two checks of a file. A change by another program takes effect within that
// time.
const checkInterval = time.Second

// racyAge is the age below which a file may change again without a new modification time, since file systems count time
// in ticks. A file that was younger than that when it was read is read again at the next check.
const racyAge = 2 * time.Second

// A file is a file of records with a copy in memory. A read costs a look at the clock, and once per checkInterval a
// stat.
type file[R record] struct {
	path      string
	trust     []uint32 // user ids of owners that are trusted beside root and this user
	format    format[R]
	onError   func(error)
	contents  atomic.Pointer[contents[R]]
	opened    time.Time
	nextCheck atomic.Int64 // the time of the next check, in nanoseconds since opened

	mu       sync.Mutex // held while the file is read or written
	reported string     // the error of the last reload; empty: none
}

// contents are the lines of a file, as they were read.
type contents[R record] struct {
	*lines[R]
	from     fs.FileInfo
	reliable bool // a later change will have another modification time
}

// open reads the file for the first time, and creates an empty one if it does not exist.
func (f *file[R]) open() error {
	f.opened = time.Now()
	c, err := f.readWith(os.O_CREATE)
	if err != nil {
		return err
	}
	f.contents.Store(c)
	f.nextCheck.Store(int64(checkInterval))
	return nil
}

// read reads the file.
func (f *file[R]) read() (*contents[R], error) { return f.readWith(0) }

// readWith reads the file, with one more flag for os.OpenFile.
func (f *file[R]) readWith(flag int) (*contents[R], error) {
	now := time.Now()
	opened, info, err := rules(f.trust).Open(f.path, os.O_RDONLY|flag, 0o600)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	text, err := readAll(f.path, opened)
	if err != nil {
		return nil, err
	}
	return f.parse(text, info, now)
}

func (f *file[R]) parse(text string, info fs.FileInfo, now time.Time) (*contents[R], error) {
	l, err := f.format.read(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	return &contents[R]{l, info, now.Sub(info.ModTime()) > racyAge}, nil
}

// current returns the lines of the file. They are shared; the caller must not change them.
func (f *file[R]) current() *lines[R] {
	now, nextCheck := int64(time.Since(f.opened)), f.nextCheck.Load()
	if now >= nextCheck && f.nextCheck.CompareAndSwap(nextCheck, now+int64(checkInterval)) {
		if err := f.reload(); err != nil && f.onError != nil {
			f.onError(err)
		}
	}
	return f.contents.Load().lines
}

// reload reads the file again if it has changed. After an error the old lines stay in force. An error that the last
// reload had too is not returned again.
func (f *file[R]) reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unchangedLocked() {
		f.reported = ""
		return nil
	}
	c, err := f.read()
	if err == nil {
		f.contents.Store(c)
		f.reported = ""
		return nil
	}
	if f.reported == err.Error() {
		return nil
	}
	f.reported = err.Error()
	return fmt.Errorf("%w; the old contents stay in force", err)
}

// unchangedLocked reports whether the metadata of the file are those of the file that was read. The caller holds f.mu.
func (f *file[R]) unchangedLocked() bool {
	c := f.contents.Load()
	info, err := os.Stat(f.path) // follows a symbolic link to its present target
	return err == nil && c.reliable && os.SameFile(info, c.from) && info.Mode() == c.from.Mode() &&
		info.Size() == c.from.Size() && info.ModTime().Equal(c.from.ModTime())
}

// edit locks the file, reads it, calls change with its lines and replaces the file. So no change of another program
// is lost. If change returns an error, the file stays as it was. edit blocks up to 10 s while another program has the
// lock.
func (f *file[R]) edit(change func(*lines[R]) error) error {
	if err := writable(f.path); err != nil {
		return err
	}
	unlock, err := sharedfile.Lock(f.path+".lock", lockRules(f.trust))
	if err != nil {
		return err
	}
	defer unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.read()
	if err != nil {
		return err
	}
	if err := change(c.lines); err != nil {
		return err
	}
	now, text := time.Now(), c.text()
	if len(text) > maxSize {
		return errTooLong(f.path)
	}
	info, err := sharedfile.Replace(f.path, []byte(text), 0o600)
	if err != nil {
		return err
	}
	c, err = f.parse(text, info, now)
	if err != nil {
		return err
	}
	f.contents.Store(c)
	return nil
}

// maxSize is the longest file in bytes; about ten thousand users fit.
const maxSize = 1 << 20

// rules returns the rules for a file of secrets: only trusted users can change it, and no other user can read it. It
// may be provided by another program: it may be a symbolic link, and the group of a file of root may read it.
func rules(trustOwners []uint32) trustedpath.Rules {
	return trustedpath.Rules{Profile: trustedpath.Source, Readers: trustedpath.OwnerOnly, TrustOwners: trustOwners}
}

// lockRules returns the rules for the lock file.
func lockRules(trustOwners []uint32) trustedpath.Rules {
	return trustedpath.Rules{TrustOwners: trustOwners}
}

// readAll reads an opened file.
func readAll(path string, f io.Reader) (string, error) {
	var text strings.Builder
	n, err := io.Copy(&text, io.LimitReader(f, maxSize+1))
	if err == nil && n > maxSize {
		err = errTooLong(path)
	}
	return text.String(), err
}

func errTooLong(path string) error {
	return fileError(path, "it is longer than %d KiB", maxSize>>10)
}

// writable returns an error for a file that another program provides.
func writable(path string) error {
	const advice = "it is a read-only source: change it where it comes from, such as the Kubernetes Secret"
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case info.Mode().Type() == fs.ModeSymlink:
		return fileError(path, "it is a symbolic link, so %s", advice)
	case info.Mode().Perm()&0o200 == 0:
		return fileError(path, "its owner may not write to it (mode %04o), so %s; or do: chmod u+w %[3]s", info.Mode().Perm(), advice, path)
	}
	return nil
}

// fileError returns an error about the file at path.
func fileError(path, format string, args ...any) error {
	return &fs.PathError{Op: "use", Path: path, Err: fmt.Errorf(format, args...)}
}
