package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"
)

// A journal is a chain of lines in a file. A goroutine adds its line to a buffer, under the lock, and the line gets
// its place in the chain. Then the goroutine calls commitLocked: if no other goroutine writes, it writes all lines of
// the buffer, otherwise it waits for that goroutine. Syncing works in the same way, independently of writing. So
// lines that are added at the same time share one write and one sync.
//
// The flags writing and syncing say whether a goroutine writes or syncs; it does so without the lock. A method with the
// suffix Locked is called with mu held; its comment says where it unlocks mu meanwhile.
type journal struct {
	path    string
	log     *slog.Logger
	storage storage
	durable bool // entries are synced

	mu      sync.Mutex
	changed sync.Cond // writing, syncing, or what they are about, has changed
	closed  bool

	last     record.Head // of the last line that was added
	encoder  record.Encoder
	lines    []byte // the buffer: lines that are not in the file
	partial  int    // bytes of the first line that are in the file
	spare    []byte // an array that lines can use again
	lost     uint64 // lines that were discarded, since the buffer was full
	refusals refusalLimiter

	file        file
	info        os.FileInfo // of file
	head        headFile
	nameChecked time.Time // when path was last seen to name file
	writing     bool
	syncing     bool
	written     uint64 // the number of the last line that is in the file
	synced      uint64 // the number of the last line that is on the disk

	writeErr, syncErr error     // the errors of the last write and the last sync
	syncDoubt         error     // a sync failed, and no entry says so yet
	reported          time.Time // when the error was logged; zero: there is none

	headText   [record.HeadSize]byte // used by the writing goroutine only
	fileHead   record.Head           // used by the writing goroutine only: the head that is in the file, or should be
	headFailed bool                  // the head could not be written, and the log says so
	linkFailed bool                  // the second name could not be made, and the log says so
}

// maxBuffered is the size of the buffer in bytes. It fills while the file cannot be written.
const maxBuffered = 1 << 20

var errClosed = errors.New("the audit is closed")

// addLocked adds an entry to the buffer and returns its number. It returns 0 if the buffer is full or the journal is
// closed; then the entry is lost.
func (j *journal) addLocked(e *record.Entry, now time.Time) uint64 {
	if len(j.lines) > maxBuffered || j.closed {
		j.lost++
		return 0
	}
	j.appendLocked(e, now)
	return e.Seq
}

// appendLocked adds an entry to the buffer also if it is full. It is for the few entries about the log itself.
func (j *journal) appendLocked(e *record.Entry, now time.Time) {
	e.Seq, e.Prev, e.Time = j.last.Seq+1, j.last.Hash, now
	start := len(j.lines)
	j.lines = j.encoder.Append(j.lines, e)
	j.last = record.Head{Seq: e.Seq, Hash: sha256.Sum256(j.lines[start:])}
	j.lines = append(j.lines, '\n')
}

// waitForRoomLocked blocks until the buffer has room for another line, or writing has failed. It unlocks mu meanwhile.
func (j *journal) waitForRoomLocked() {
	for len(j.lines) > maxBuffered && j.commitLocked(j.last.Seq, false) == nil {
	}
}

// commitLocked blocks until the line seq is in the file, and with sync until it is on the disk. It unlocks mu
// meanwhile.
func (j *journal) commitLocked(seq uint64, sync bool) error {
	for j.written < seq {
		if !j.writing {
			if err := j.writeLocked(); err != nil {
				return err
			}
			continue
		}
		j.changed.Wait()
		if j.writeErr != nil && j.written < seq {
			return j.writeErr
		}
	}
	for sync && j.synced < seq {
		if !j.syncing {
			if err := j.syncLocked(); err != nil {
				return err
			}
			continue
		}
		j.changed.Wait()
		if j.syncErr != nil && j.synced < seq {
			return j.syncErr
		}
	}
	return nil
}

// writeLocked writes all lines of the buffer, and rotates the file first if path names another one. After a failure
// that is over it also writes a gap entry. It unlocks mu meanwhile.
func (j *journal) writeLocked() (err error) {
	if j.closed {
		return errClosed
	}
	j.writing = true
	defer func() {
		j.writing, j.writeErr = false, err
		j.reportLocked()
		j.changed.Broadcast()
	}()
	next, err := j.checkNameLocked()
	if err != nil {
		return err
	}
	if next != nil {
		if err := j.rotateLocked(next); err != nil {
			return err
		}
	}
	if err := j.writeLinesLocked(nil); err != nil {
		return err
	}
	if !j.addGapLocked() {
		return nil
	}
	return j.writeLinesLocked(nil)
}

// writeLinesLocked writes the lines of the buffer. It unlocks mu meanwhile. Lines that cannot be written stay in the
// buffer. next, if not nil, is added to the buffer after these lines, and is not written.
func (j *journal) writeLinesLocked(next *record.Entry) error {
	text, last := j.lines, j.last
	j.lines = j.spare[:0]
	if next != nil {
		j.appendLocked(next, time.Now())
	}
	j.mu.Unlock()
	n, err := j.file.Write(text[j.partial:])
	if err == nil {
		j.writeHead(last)
	}
	j.mu.Lock()
	if err == nil {
		j.spare, j.partial, j.written = text[:0], 0, last.Seq
		return nil
	}
	n += j.partial
	whole := bytes.LastIndexByte(text[:n], '\n') + 1
	if before := last.Seq - uint64(bytes.Count(text[whole:], newline)); before > j.written {
		j.written = before
		line := text[bytes.LastIndexByte(text[:whole-1], '\n')+1 : whole-1]
		j.writeHead(record.Head{Seq: before, Hash: sha256.Sum256(line)})
	}
	j.lines, j.partial, j.spare = append(text[whole:], j.lines...), n-whole, nil
	return err
}

var newline = []byte("\n")

// writeHead writes the head, the number and hash of the last line, to its file. After a crash the file of the log can
// have more lines than the head says. Only the writing goroutine calls it, without mu.
func (j *journal) writeHead(last record.Head) {
	j.fileHead = last
	if _, err := j.head.WriteAt(last.Append(j.headText[:0]), 0); err != nil && !j.headFailed {
		j.log.Error("cannot write the head of the audit", "error", err)
		j.headFailed = true
	}
}

// syncLocked syncs the file. It unlocks mu meanwhile.
func (j *journal) syncLocked() error {
	if j.closed {
		return errClosed
	}
	j.syncing = true
	f, mark := j.file, j.written
	j.mu.Unlock()
	err := f.Sync()
	j.mu.Lock()
	j.syncing = false
	if errors.Is(err, os.ErrClosed) && j.file != f {
		err = nil // rotateLocked has synced it
	} else if err == nil {
		j.synced = max(j.synced, mark)
	} else {
		j.syncDoubt = err // the kernel may have discarded what it could not write to the disk
	}
	j.syncErr = err
	if err == nil {
		j.addGapLocked() // the next write writes it
	}
	j.reportLocked()
	j.changed.Broadcast()
	return err
}

// addGapLocked adds a gap entry about a failure that is over, and reports whether there was one.
func (j *journal) addGapLocked() bool {
	doubtful := j.syncDoubt != nil && j.syncErr == nil
	if j.lost == 0 && !doubtful {
		return false
	}
	gap := record.Entry{Event: record.Gap, Count: j.lost}
	if doubtful {
		gap.Text = "some records before this may be lost in a power failure: " + j.syncDoubt.Error()
		j.syncDoubt = nil
	}
	j.lost = 0
	j.appendLocked(&gap, time.Now())
	return true
}

// reportLocked logs a failure, at most once a second, and its end.
func (j *journal) reportLocked() {
	err, now := errors.Join(j.writeErr, j.syncErr), time.Now()
	switch {
	case err == nil && !j.reported.IsZero():
		j.log.Warn("the audit is written again", "file", j.path)
		j.reported = time.Time{}
	case err != nil && now.Sub(j.reported) >= time.Second:
		j.log.Error("the audit cannot be written", "error", err, "lost", j.lost)
		j.reported = now
	}
}
