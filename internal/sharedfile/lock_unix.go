//go:build unix && !aix

package sharedfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// How long Lock waits for another change to be done, and how often it looks.
const (
	patience = 10 * time.Second
	every    = 20 * time.Millisecond
)

// Lock keeps all others who lock path away until unlock is called; it waits 10 s for one who does. The
// file is made, 0600, and stays: the kernel lets go of it when the process ends, however it ends, and
// what is left means nothing.
func Lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
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

// syncDir makes a rename in dir outlive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
