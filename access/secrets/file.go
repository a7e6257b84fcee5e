package secrets

import (
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/internal/sharedfile"
)

// lookEvery is how often a file is looked at, at most: a change by another program takes effect
// within that time.
const lookEvery = time.Second

// unsettled is how young a file's last change may be for the next one to bear the same time: a file
// as young as that is read again, whatever it looks like from outside.
const unsettled = 2 * time.Second

// A file is a file of records in memory. Reading it costs a glance at the clock, and once in a while
// one at the file's inode.
type file[R record] struct {
	path     string
	trust    []uint32 // owners of files that are trusted beside root and this user
	format   format[R]
	onError  func(error)
	contents atomic.Pointer[contents[R]]
	opened   time.Time
	due      atomic.Int64 // when to look again, since opened

	mu        sync.Mutex // held while the file is read or written
	complaint string     // what is wrong with the file as it is now, and has been told
}

// contents are what was in the file.
type contents[R record] struct {
	*lines[R]
	from    fs.FileInfo
	settled bool // a later change will show from outside
}

// open reads the file for the first time, and makes an empty one where there is none.
func (f *file[R]) open() error {
	f.opened = time.Now()
	c, err := f.readWith(os.O_CREATE)
	if err != nil {
		return err
	}
	f.contents.Store(c)
	f.due.Store(int64(lookEvery))
	return nil
}

// read reads the file.
func (f *file[R]) read() (*contents[R], error) { return f.readWith(0) }

// readWith is read with another flag for opening the file.
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
	return &contents[R]{l, info, now.Sub(info.ModTime()) > unsettled}, nil
}

// current returns what the file says. The lines are shared: nobody changes them.
func (f *file[R]) current() *lines[R] {
	now, due := int64(time.Since(f.opened)), f.due.Load()
	if now >= due && f.due.CompareAndSwap(due, now+int64(lookEvery)) {
		if err := f.look(); err != nil && f.onError != nil {
			f.onError(err)
		}
	}
	return f.contents.Load().lines
}

// look reads the file again if it has changed. If that fails, what it said before stays in force;
// the error is nil when it is the same as the last time.
func (f *file[R]) look() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unchanged() {
		f.complaint = ""
		return nil
	}
	c, err := f.read()
	if err == nil {
		f.contents.Store(c)
		f.complaint = ""
		return nil
	}
	if f.complaint == err.Error() {
		return nil
	}
	f.complaint = err.Error()
	return fmt.Errorf("%w; what it said before stays in force", err)
}

// unchanged reports whether the file is, from outside, the one that was read.
func (f *file[R]) unchanged() bool {
	c := f.contents.Load()
	info, err := os.Stat(f.path) // of a symbolic link: the file that it leads to now
	return err == nil && c.settled && os.SameFile(info, c.from) && info.Mode() == c.from.Mode() &&
		info.Size() == c.from.Size() && info.ModTime().Equal(c.from.ModTime())
}

// edit changes the file. Nobody else's change is lost, and what change was called with is the file
// as it is, not as it was last read. An error of change leaves everything as it was.
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
