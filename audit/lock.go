package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/internal/trustedpath"

	"golang.org/x/sys/unix"
)

// A holder is the process that has a log locked. It stands in the head file, behind the head, so that a second
// daemon can name it.
//
//	state     written when                       what a second daemon does
//	running   the log is opened                  it refuses to start, at once
//	closing   Log.Closing: the daemon drains     it waits for closeTimeout, then it refuses
//	closed    Log.Close                          it locks the log
//
// A process that was killed leaves its state, and no lock. The kernel can release the lock a moment after the
// process is gone, when the process was just starting another one; so for a process that does not exist a second
// daemon waits too.
type holder struct {
	pid   int
	state holderState
}

type holderState string

const (
	running holderState = "running"
	closing holderState = "closing"
	closed  holderState = "closed"
)

const holderFormat = "pid %010d %-8s\n"

// holderSize is the length of a holder in its file.
const holderSize = 4 + 10 + 1 + 8 + 1

// append appends the holder as its file has it.
func (h holder) append(dst []byte) []byte { return fmt.Appendf(dst, holderFormat, h.pid, h.state) }

// readHolder reads which process has a log locked. It is zero where the file does not say.
func readHolder(f *os.File) (h holder) {
	text := make([]byte, holderSize)
	n, _ := f.ReadAt(text, record.HeadSize)
	if _, err := fmt.Fscanf(bytes.NewReader(text[:n]), "pid %d %s", &h.pid, &h.state); err != nil {
		return holder{}
	}
	return h
}

// exists reports whether there is such a process, in the PID namespace of this one.
func (h holder) exists() bool {
	return h.pid > 0 && !errors.Is(unix.Kill(h.pid, 0), unix.ESRCH)
}

const (
	closeTimeout = 10 * time.Second      // for a process that closes the log
	lockEvery    = 20 * time.Millisecond // how often lock tries
)

// lock keeps all other daemons away until unlock is called. wait is called once, before it waits for a process
// that closes the log.
func lock(path string, rules trustedpath.Rules, wait func(pid int)) (unlock func(), err error) {
	path = record.HeadFile(path)
	f, _, err := rules.Open(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	waited := false
	for start := time.Now(); ; time.Sleep(lockEvery) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			_ = f.Close()
			return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
		}
		h := readHolder(f)
		if (h.state == running || h.state == "") && h.exists() {
			_ = f.Close()
			return nil, fault(path, "process %d writes this audit, and one daemon at a time can; stop that process, or name another file for this daemon", h.pid)
		}
		if h.state == closing && !waited {
			wait(h.pid)
			waited = true
		}
		if time.Since(start) >= closeTimeout {
			_ = f.Close()
			return nil, fault(path, "process %d has not closed this audit within %s; wait until it has ended, or end it", h.pid, closeTimeout)
		}
	}
}
