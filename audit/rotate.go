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

// The open file has a second name, a hard link in the same folder. If the daemon is killed and the file is renamed
// before the next start, the next daemon finds the end of the chain by that name.
//
// A rotation by the running daemon has these steps. A crash between any two of them leaves a log that verifies.
// TestLogKilledAtAnyStepIsWhole tests each of them, and TestScenariosReachEachStep that none is left out:
//
//	step                                        after a crash here the next start continues from
//	1 the new file is opened, and is empty      the end of the old file, by its second name
//	2 the buffer is written to the old file,    the same
//	  and the head
//	3 the old file is synced; its end is        the same
//	  written after the head, as the base of
//	  the new file, and synced
//	4 the second name goes to the new file,     the base, since the new file is empty
//	  and the folder is synced
//	5 records are written to the new file       the end of the new file
//
// At a start with a new file the steps are the same, except 2: the head is set to the end of the old file.

// A base is the end of the file before the open one. It is written to the head file, after the head and the holder.
type base struct {
	seq   uint64      // the number of the last record of that file
	prev  record.Hash // the hash of that record with the bytes after it
	torn  int         // the number of these bytes
	known bool
}

const (
	baseAt     = record.HeadSize + holderSize
	baseFormat = "base %020d %s %010d\n"
	baseSize   = 5 + 20 + 1 + 64 + 1 + 10 + 1
)

// append appends the base in the form of the head file. An unknown base is blank.
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

// setBase writes the base to the head file.
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

// errRenamed means that the path does not name the open file any more.
var errRenamed = errors.New("the file was renamed just now")

// linkCurrent gives the file at path its second name; another file loses it. info is the open file's. It returns
// errRenamed if path names another file.
func linkCurrent(path string, info fs.FileInfo) error {
	name := currentName(path)
	made := name + ".new" // a killed daemon may have left it; the lock excludes other daemons
	if err := os.Remove(made); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if isCurrent(path, info) {
		return nil
	}
	err := os.Link(path, made)
	if errors.Is(err, fs.ErrNotExist) {
		return errRenamed
	}
	if err == nil {
		there, failed := os.Lstat(made)
		if err = failed; err == nil && !os.SameFile(there, info) {
			err = errRenamed
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
	if failed := os.Remove(name); failed != nil && !errors.Is(failed, fs.ErrNotExist) { // it would name the wrong file
		err = errors.Join(err, failed)
	}
	return err
}

// openCurrent opens the file with the second name. It returns nil if there is none, or if the name is a symbolic link.
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

// checkInterval is the shortest time between two checks of the name. So long a renamed file is still written to.
const checkInterval = time.Second

// checkNameLocked opens the file at path if it is not the open one. It returns nil if it is, or was checked recently.
func (j *journal) checkNameLocked() (next file, err error) {
	now := time.Now()
	if now.Sub(j.nameChecked) < checkInterval {
		return nil, nil
	}
	if info, err := os.Lstat(j.path); err == nil && os.SameFile(info, j.info) {
		j.nameChecked = now
		return nil, nil
	}
	if next, err = j.storage.open(j.path); err != nil {
		return nil, err
	}
	info, err := next.Stat()
	if err == nil && info.Size() > 0 {
		err = fileError(j.path, "it was replaced by a file that is not empty; move that file away")
	}
	if err != nil {
		_ = next.Close()
		return nil, err
	}
	j.nameChecked = now
	return next, nil
}

// rotateLocked completes the open file, and continues in next. Lines that cannot be written to the old file are
// written to the new one. It unlocks mu meanwhile. After an error the old file stays in use until the next write.
func (j *journal) rotateLocked(next file) error {
	info, err := next.Stat()
	if err != nil {
		_ = next.Close()
		return err
	}
	opened := record.Entry{Event: record.Opened}
	old := j.file
	err = j.writeLinesLocked(&opened)
	mark := j.written
	b := base{seq: j.fileHead.Seq, prev: j.fileHead.Hash, known: true}
	if j.partial > 0 { // the disk is full or broken: a part of a line stays in the old file
		b = j.tornBaseLocked(b)
	}
	j.mu.Unlock()
	failed := errors.Join(old.Sync(), j.setBase(b), j.head.Sync())
	linked := j.storage.link(j.path, info)
	j.mu.Lock()
	if failed == nil {
		j.synced = max(j.synced, mark)
	} else {
		j.syncDoubt = failed
	}
	if err = errors.Join(err, failed); err != nil {
		j.log.Error("the audit's old file could not be completed; the audit continues in the new one", "error", err)
	}
	if errors.Is(linked, errRenamed) {
		j.nameChecked = time.Time{}
		_ = next.Close()
		return nil // the old file stays in use until the next check
	}
	j.logLinkResult(linked)
	j.file, j.info, j.partial = next, info, 0
	_ = old.Close()
	return nil
}

// tornBaseLocked returns the base if the open file ends with a part of a line. b is the base without that part.
func (j *journal) tornBaseLocked(b base) base {
	info, err := j.file.Stat()
	if err != nil {
		return b
	}
	end, err := endOf(j.file, info.Size())
	switch {
	case err != nil:
		return b
	case end.seq == 0: // the file had no complete line, and endOf has truncated it
		j.partial = 0
		return b
	}
	return base{seq: end.seq, prev: end.prev, torn: end.torn, known: true}
}

// logLinkResult logs once that the second name could not be made.
func (j *journal) logLinkResult(err error) {
	if err != nil && !j.linkFailed {
		j.log.Info("the audit's file has no second name; a crash together with a rotation leaves a doubt", "file", currentName(j.path), "error", err)
	}
	j.linkFailed = err != nil
}
