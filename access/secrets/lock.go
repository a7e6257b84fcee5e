package secrets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// How long a change waits for another one to be done, and how often it looks.
const (
	lockPatience = 10 * time.Second
	lockEvery    = 20 * time.Millisecond
)

// lock keeps all other changes of a file away until unlock is called. It is on a file beside the
// one that changes, which stays there: the kernel lets go of it when the process ends, however it
// ends, and what is left means nothing.
func lock(path string) (unlock func(), err error) {
	path += ".lock"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	for start := time.Now(); ; time.Sleep(lockEvery) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		busy := errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR)
		switch {
		case err == nil:
			return func() { _ = f.Close() }, nil
		case busy && time.Since(start) < lockPatience:
			continue
		case busy:
			err = fmt.Errorf("another program has held it for %s; see who that is, and try again", lockPatience)
		}
		_ = f.Close()
		return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
	}
}
