package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/internal/sharedfile"
	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// The file that is written has a second name, a hard link beside it. When the daemon is killed and the file is
// renamed before the next start, the next daemon finds by that name where the chain ended. A rotation of the
// running daemon takes these steps. A crash between any two of them leaves a log that verifies:
//
//	step                                        after a crash here the next start goes on from
//	1 the new file is opened, and is empty      the end of the old file, by its second name
//	2 what waits is written to the old file,    the same
//	  and the head
//	3 the old file is synced; its end is        the same
//	  written behind the head, as the base of
//	  the new file, and synced
//	4 the second name goes to the new file,     the base, since the new file is empty
//	  and the folder is synced
//	5 records are written to the new file       the end of the new file
//
// At a start with a new file the steps are the same, but for 2: the head is set to what the old file has.

// A base is the end of the file before the one that is written. It stands behind the head and the holder.
type base struct {
	seq   uint64      // of the last record there
	prev  record.Hash // of that record and what stands behind it
	torn  int         // how much that is
	known bool
}

const (
	baseAt     = record.HeadSize + holderSize
	baseFormat = "base %020d %s %010d\n"
	baseSize   = 5 + 20 + 1 + 64 + 1 + 10 + 1
)

// append appends the base as its file has it. One that is not known is blank.
func (b base) append(dst []byte) []byte {
	if !b.known {
		return append(append(dst, bytes.Repeat([]byte(" "), baseSize-1)...), '\n')
	}
	return fmt.Appendf(dst, baseFormat, b.seq, b.prev, b.torn)
}

// readBase reads the base of the log at path.
func readBase(path string) (b base) {
	text, err := os.ReadFile(record.HeadFile(path))
	if err != nil || len(text) < baseAt+baseSize {
		return base{}
	}
	var hash []byte
	n, err := fmt.Sscanf(string(text[baseAt:]), "base %d %x %d", &b.seq, &hash, &b.torn)
	if err != nil || n != 3 || copy(b.prev[:], hash) != len(b.prev) {
		return base{}
	}
	b.known = true
	return b
}

// setBase writes down where the file ends that comes before the one that is about to be written.
func (j *journal) setBase(b base) error {
	_, err := j.head.WriteAt(b.append(nil), baseAt)
	return err
}

// isCurrent reports whether the file with info has the second name of the log at path.
func isCurrent(path string, info fs.FileInfo) bool {
	there, err := os.Lstat(currentName(path))
	return err == nil && os.SameFile(there, info)
}

// currentName returns the second name of the file of the log at path. It begins with a dot, so that patterns
// such as audit.jsonl* do not match it.
func currentName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".current")
}

// errNameTaken says that the file at the path is not the one that is open any more.
var errNameTaken = errors.New("the file was renamed just now")

// linkCurrent gives the file at path, which is open and has info, its second name. Another file loses it.
func linkCurrent(path string, info fs.FileInfo) error {
	name := currentName(path)
	made := name + ".new" // a killed daemon may have left it; the lock keeps others away
	if err := os.Remove(made); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if isCurrent(path, info) {
		return nil
	}
	err := os.Link(path, made)
	if errors.Is(err, fs.ErrNotExist) {
		return errNameTaken
	}
	if err == nil {
		there, failed := os.Lstat(made)
		if err = failed; err == nil && !os.SameFile(there, info) {
			err = errNameTaken
		}
		if err == nil {
			err = os.Rename(made, name)
		}
		if err != nil {
			_ = os.Remove(made)
			return err
		}
		return sharedfile.SyncDir(filepath.Dir(path))
	}
	if failed := os.Remove(name); failed != nil && !errors.Is(failed, fs.ErrNotExist) { // it would lead to the wrong file
		err = errors.Join(err, failed)
	}
	return err
}

// openCurrent opens the file that has the second name, or returns nil where there is none that the daemon can
// trust.
func openCurrent(path string, rules trustedpath.Rules) (*os.File, error) {
	name := currentName(path)
	if info, err := os.Lstat(name); err == nil && info.Mode().Type() == fs.ModeSymlink {
		return nil, nil
	}
	f, _, err := rules.Open(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// lookEvery is how long a file that was renamed is still written to.
const lookEvery = time.Second

// lookAtName opens the file that has the name of the journal, when it is not the one that is open.
func (j *journal) lookAtName() (next file, err error) {
	now := time.Now()
	if now.Sub(j.looked) < lookEvery {
		return nil, nil
	}
	if info, err := os.Lstat(j.path); err == nil && os.SameFile(info, j.info) {
		j.looked = now
		return nil, nil
	}
	if next, err = j.storage.open(j.path); err != nil {
		return nil, err
	}
	info, err := next.Stat()
	if err == nil && info.Size() > 0 {
		err = fault(j.path, "it is another file than before and has something in it; move it away")
	}
	if err != nil {
		_ = next.Close()
		return nil, err
	}
	j.looked = now
	return next, nil
}

// changeTo ends the file that is open, and goes on in next. What the old one does not take comes to the new
// one. It lets go of the lock meanwhile. After an error the old file stays in use, until the next write.
func (j *journal) changeTo(next file) error {
	info, err := next.Stat()
	if err != nil {
		_ = next.Close()
		return err
	}
	opened := record.Entry{Event: record.Opened}
	old := j.file
	err = j.writeLines(&opened)
	mark := j.written
	b := base{seq: j.noted.Seq, prev: j.noted.Hash, known: true}
	if j.skip > 0 { // the disk is full, or broken: part of a line stays there
		b = j.tornBase(b)
	}
	j.mu.Unlock()
	failed := errors.Join(old.Sync(), j.setBase(b), j.head.Sync())
	linked := j.storage.link(j.path, info)
	j.mu.Lock()
	if failed == nil {
		j.synced = max(j.synced, mark)
	} else {
		j.doubt = failed
	}
	if err = errors.Join(err, failed); err != nil {
		j.log.Error("the audit's old file could not be ended; it goes on in the new one", "error", err)
	}
	if errors.Is(linked, errNameTaken) {
		j.looked = time.Time{}
		_ = next.Close()
		return nil // the old one is as good, until the next look
	}
	j.tellLinked(linked)
	j.file, j.info, j.skip = next, info, 0
	_ = old.Close()
	return nil
}

// tornBase returns the base when the file that is open ends within a line; b is that without this line.
func (j *journal) tornBase(b base) base {
	info, err := j.file.Stat()
	if err != nil {
		return b
	}
	end, err := endOf(j.file, info.Size())
	switch {
	case err != nil:
		return b
	case end.seq == 0: // it had no whole line, and is empty now
		j.skip = 0
		return b
	}
	return base{seq: end.seq, prev: end.prev, torn: end.torn, known: true}
}

// tellLinked logs that the file could not be given its second name, once.
func (j *journal) tellLinked(err error) {
	if err != nil && !j.nameless {
		j.log.Info("the audit's file has no second name; a crash together with a rotation leaves a place in doubt", "file", currentName(j.path), "error", err)
	}
	j.nameless = err != nil
}
