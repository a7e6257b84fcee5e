//go:build unix && !aix

package sharedfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/rudderpost/rudderpost/internal/trustedpath"

	"golang.org/x/sys/unix"
)

// How long Lock waits for another change to be done, and how often it looks.
const (
	patience = 10 * time.Second
	every    = 20 * time.Millisecond
)

// Lock locks the file at path until unlock is called; it waits 10 s for another process that has it locked. The file is
// made, 0600, and stays: the kernel drops the lock when the process ends, and what is left means nothing. The rules say
// which file is accepted: a file of a user that is not trusted could stay locked for ever.
func Lock(path string, rules trustedpath.Rules) (unlock func(), err error) {
	f, _, err := rules.Open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for start := time.Now(); ; time.Sleep(every) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		busy := errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR)
		switch {
		case err == nil:
			return func() { _ = f.Close() }, nil
		case busy && time.Since(start) < patience:
			continue
		case busy:
			err = fmt.Errorf("another program has held it for %s; see who that is, and try again", patience)
		}
		_ = f.Close()
		return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
	}
}

// SyncDir writes the entries of the folder dir to the disk, so that a new name in it survives a power failure. It blocks
// until the disk has them.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
