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

// A holder is the process that has a log locked. It is written to the head file, after the head, so that a second
// daemon can name the process.
//
//	state     written when                       what a second daemon does
//	running   Open has locked the log            its Open fails at once
//	closing   Log.Closing: the daemon drains     its Open waits for closeTimeout, then fails
//	closed    Log.Close                          its Open locks the log
//
// A process that was killed leaves its state, but no lock. The kernel can release the lock shortly after the end of the
// process, if the process was starting another one. So Open also waits if the process does not exist.
//
// The tests are TestSecondDaemonIsRefusedAtOnceWithThePidOfTheFirst, TestSecondDaemonWaitsForOneThatIsClosing and
// TestLogOfKilledDaemonIsOpenedAtOnce.
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

// holderSize is the length of a holder in the head file, in bytes.
const holderSize = 4 + 10 + 1 + 8 + 1

// append appends the holder in the form of the head file.
func (h holder) append(dst []byte) []byte { return fmt.Appendf(dst, holderFormat, h.pid, h.state) }

// readHolder reads the holder from a head file. The result is zero if the file has none.
func readHolder(f *os.File) (h holder) {
	text := make([]byte, holderSize)
	n, _ := f.ReadAt(text, record.HeadSize)
	if _, err := fmt.Fscanf(bytes.NewReader(text[:n]), "pid %d %s", &h.pid, &h.state); err != nil {
		return holder{}
	}
	return h
}

// exists reports whether the process exists, in the PID namespace of this process.
func (h holder) exists() bool {
	return h.pid > 0 && !errors.Is(unix.Kill(h.pid, 0), unix.ESRCH)
}

const (
	closeTimeout = 10 * time.Second      // how long lock waits for a process that closes the log
	lockInterval = 20 * time.Millisecond // between two attempts of lock
)

// lock locks the log at path for this process until unlock is called. It calls wait once before it waits for a
// process that closes the log. It blocks for closeTimeout at most.
func lock(path string, rules trustedpath.Rules, wait func(pid int)) (unlock func(), err error) {
	path = record.HeadFile(path)
	f, _, err := rules.Open(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	waited := false
	for start := time.Now(); ; time.Sleep(lockInterval) {
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
			return nil, fileError(path, "process %d writes this audit, and one daemon at a time can; stop that process, or name another file for this daemon", h.pid)
		}
		if h.state == closing && !waited {
			wait(h.pid)
			waited = true
		}
		if time.Since(start) >= closeTimeout {
			_ = f.Close()
			return nil, fileError(path, "process %d has not closed this audit within %s; wait until it has ended, or end it", h.pid, closeTimeout)
		}
	}
}
