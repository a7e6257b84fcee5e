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

// A journal is a chain of lines in a file. Lines are added in memory, under a lock, where each gets its
// place in the chain; whoever waits for his finds that either somebody is writing, or that it is up to
// him to write all that is there. Syncing goes the same way, beside writing. So many lines that come
// together cost one write and one sync.
type journal struct {
	path    string
	log     *slog.Logger
	storage storage
	durable bool // records are synced

	mu     sync.Mutex
	turn   sync.Cond // writing, syncing, or what they are about, has changed
	closed bool

	last    record.Head // of the last line that was added
	encoder record.Encoder
	lines   []byte // those that are not in the file
	skip    int    // bytes of the first one that are
	spare   []byte // the array of lines that were written
	lost    uint64 // lines that there was no room for
	flood   flood

	file    file
	info    os.FileInfo // of file
	head    headFile
	looked  time.Time // when the name was last seen to be that of file
	writing bool
	syncing bool
	written uint64 // the number of the last line that is in the file
	synced  uint64 // and of the last one that is on the disk

	writeErr, syncErr error     // how the last attempts failed
	doubt             error     // a sync failed, and no record says so yet
	complained        time.Time // zero: nothing is wrong

	headText [record.HeadSize]byte // the writer's
	noted    record.Head           // the writer's: what the head file has, or should have
	headless bool                  // and whether writing it has failed
	nameless bool                  // the file could not be given its second name, and the log says so
}

// maxHeld is how much waits in memory while nothing can be written, in bytes.
const maxHeld = 1 << 20

var (
	errClosed = errors.New("the audit is closed")
)

// add gives an entry its place in the chain. It returns its number, or 0 where there is no room.
func (j *journal) add(e *record.Entry, now time.Time) uint64 {
	if len(j.lines) > maxHeld || j.closed {
		j.lost++
		return 0
	}
	j.put(e, now)
	return e.Seq
}

// put is add for the few entries that there is always room for.
func (j *journal) put(e *record.Entry, now time.Time) {
	e.Seq, e.Prev, e.Time = j.last.Seq+1, j.last.Hash, now
	start := len(j.lines)
	j.lines = j.encoder.Append(j.lines, e)
	j.last = record.Head{Seq: e.Seq, Hash: sha256.Sum256(j.lines[start:])}
	j.lines = append(j.lines, '\n')
}

// makeRoom waits until there is room for another line, or no hope of it.
func (j *journal) makeRoom() {
	for len(j.lines) > maxHeld && j.commit(j.last.Seq, false) == nil {
	}
}

// commit waits until a line is in the file, and, if asked, on the disk. It is called with the lock, and
// lets go of it meanwhile.
func (j *journal) commit(seq uint64, sync bool) error {
	for j.written < seq {
		if !j.writing {
			if err := j.write(); err != nil {
				return err
			}
			continue
		}
		j.turn.Wait()
		if j.writeErr != nil && j.written < seq {
			return j.writeErr
		}
	}
	for sync && j.synced < seq {
		if !j.syncing {
			if err := j.sync(); err != nil {
				return err
			}
			continue
		}
		j.turn.Wait()
		if j.syncErr != nil && j.synced < seq {
			return j.syncErr
		}
	}
	return nil
}

// write writes all lines that there are, and, when a failure is over, what there is to say of it.
func (j *journal) write() (err error) {
	if j.closed {
		return errClosed
	}
	j.writing = true
	defer func() {
		j.writing, j.writeErr = false, err
		j.report()
		j.turn.Broadcast()
	}()
	next, err := j.lookAtName()
	if err != nil {
		return err
	}
	if next != nil {
		if err := j.changeTo(next); err != nil {
			return err
		}
	}
	if err := j.writeLines(nil); err != nil {
		return err
	}
	if !j.putGap() {
		return nil
	}
	return j.writeLines(nil)
}

// writeLines writes the lines that there are, without the lock. Those that cannot be written stay.
// Another entry may be given, which comes behind them, and is not written.
func (j *journal) writeLines(behind *record.Entry) error {
	text, last := j.lines, j.last
	j.lines = j.spare[:0]
	if behind != nil {
		j.put(behind, time.Now())
	}
	j.mu.Unlock()
	n, err := j.file.Write(text[j.skip:])
	if err == nil {
		j.writeHead(last)
	}
	j.mu.Lock()
	if err == nil {
		j.spare, j.skip, j.written = text[:0], 0, last.Seq
		return nil
	}
	n += j.skip
	whole := bytes.LastIndexByte(text[:n], '\n') + 1
	if before := last.Seq - uint64(bytes.Count(text[whole:], newline)); before > j.written {
		j.written = before
		line := text[bytes.LastIndexByte(text[:whole-1], '\n')+1 : whole-1]
		j.writeHead(record.Head{Seq: before, Hash: sha256.Sum256(line)})
	}
	j.lines, j.skip, j.spare = append(text[whole:], j.lines...), n-whole, nil
	return err
}

var newline = []byte("\n")

// writeHead says where the file ends. A crash may come before it, so that the file may go farther.
func (j *journal) writeHead(last record.Head) {
	j.noted = last
	if _, err := j.head.WriteAt(last.Append(j.headText[:0]), 0); err != nil && !j.headless {
		j.log.Error("cannot note where the audit ends", "error", err)
		j.headless = true
	}
}

// sync brings to the disk what is in the file, without the lock.
func (j *journal) sync() error {
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
		err = nil // changeTo has synced it
	} else if err == nil {
		j.synced = max(j.synced, mark)
	} else {
		j.doubt = err // the kernel may have forgotten what it could not bring there
	}
	j.syncErr = err
	if err == nil {
		j.putGap() // to be written next time
	}
	j.report()
	j.turn.Broadcast()
	return err
}

// putGap adds what is to be said of a failure that is over, if there was one.
func (j *journal) putGap() bool {
	doubtful := j.doubt != nil && j.syncErr == nil
	if j.lost == 0 && !doubtful {
		return false
	}
	gap := record.Entry{Event: record.Gap, Count: j.lost}
	if doubtful {
		gap.Text = "some records before this may not outlive a power cut: " + j.doubt.Error()
		j.doubt = nil
	}
	j.lost = 0
	j.put(&gap, time.Now())
	return true
}

// report logs failure, not more than once a second, and its end.
func (j *journal) report() {
	err, now := errors.Join(j.writeErr, j.syncErr), time.Now()
	switch {
	case err == nil && !j.complained.IsZero():
		j.log.Warn("the audit is written again", "file", j.path)
		j.complained = time.Time{}
	case err != nil && now.Sub(j.complained) >= time.Second:
		j.log.Error("the audit cannot be written", "error", err, "lost", j.lost)
		j.complained = now
	}
}
