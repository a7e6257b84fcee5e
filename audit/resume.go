package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"github.com/rudderpost/rudderpost/audit/record"
)

// resume opens the file and finds the end of the chain. It returns the opened entry, not yet added. The table lists the
// states of the disk at a start, and the doubt in the entry. TestLogKilledAtAnyStepIsWhole and
// TestLogAfterPowerCutIsWholeOrInDoubt produce the states that a crash can leave.
//
//	the file       its second name    the head              the entry
//	has records    any                the last record, or   no doubt: the chain continues after the last record
//	                                  one before it
//	has records    any                a later record        MissingSince: records were cut off, or a power failure lost them
//	has records    any                none, or unreadable   NoHead
//	has records    any                another record        OtherRecord: no crash leaves this
//	has none       another file       as above              as above: the chain continues after that file
//	has none       this file, or an   any                   as above: the chain continues after the base
//	               empty one
//	has none       the same, and the  any                   Emptied: the chain continues after the head
//	               base is not known
//	has none       none               any                   Moved: the chain continues after the head
//	has none       none               none                  no doubt: this is the first start
func (l *Log) resume() (record.Entry, error) {
	opened := record.Entry{Event: record.Opened}
	f, err := l.storage.open(l.path)
	if err != nil {
		return opened, err
	}
	l.file = f
	if l.info, err = f.Stat(); err != nil {
		return opened, err
	}
	end, err := endOf(f, l.info.Size())
	if err != nil {
		return opened, fileError(l.path, "%w", err)
	}
	continues, lost := end.seq > 0, record.Moved
	if !continues {
		if end, lost, err = l.endBefore(); err != nil {
			l.log.Error("the audit cannot continue from its last file", "error", err)
		}
	}
	head, err := record.ReadHead(l.path)
	switch {
	case err != nil:
		opened.Doubt, opened.Text = record.NoHead, "the head cannot be read: "+err.Error()
	case head == nil && end.seq == 1 && l.isFirst(): // the last daemon was killed before it wrote its first head
	case head == nil && end.seq > 0:
		opened.Doubt, opened.Text = record.NoHead, "the head is missing"
	case head == nil:
	case end.seq == 0 && !end.fromBase:
		opened.Doubt = lost
		end.seq, end.hash, end.prev = head.Seq, head.Hash, head.Hash
	case head.Seq > end.seq:
		opened.MissingSince = end.seq + 1
		opened.Text = "records were cut off, or a power failure has lost them"
		end.seq = head.Seq
	case head.Seq == end.seq && head.Hash != end.hash && (!end.fromBase || end.torn == 0):
		opened.Doubt, opened.Text = record.OtherRecord, fmt.Sprintf("record %d is not the one that was written", end.seq)
	}
	if opened.Text != "" {
		l.log.Error("the audit is not as the last daemon left it", "file", l.path, "problem", opened.Text)
	} else if opened.Doubt != "" {
		l.log.Warn("the audit's file is empty; the chain continues from the head alone", "file", l.path, "head", head.Seq)
	}
	opened.Torn = end.torn
	l.last = record.Head{Seq: end.seq, Hash: end.prev}
	l.written, l.synced = end.seq, end.seq
	if continues && end.open {
		l.lines = append(l.lines, '\n')
	}
	if !continues && !end.fromBase && end.seq > 0 && opened.MissingSince == 0 && (opened.Doubt == "" || opened.Doubt == record.NoHead) {
		l.writeHead(record.Head{Seq: end.seq, Hash: end.hash}) // the file with this end loses its second name
	}
	first := base{seq: end.seq, prev: end.prev, torn: end.torn, known: true}
	if opened.MissingSince > 0 {
		first.seq = opened.MissingSince - 1
	}
	if continues || opened.Doubt == record.Moved || opened.Doubt == record.Emptied {
		first.known = false // the file before this one is not known
	}
	return opened, l.link(continues, first)
}

// isFirst reports whether this file is the first one of the log.
func (l *Log) isFirst() bool {
	b := readBase(l.path)
	return b.known && b.seq == 0
}

// endBefore returns the end of the file that was written before this one, which is empty. If there is no such file, it
// returns the doubt for that.
func (l *Log) endBefore() (ending, record.DoubtCode, error) {
	f, err := openCurrent(l.path, l.opts.Load().rules())
	if f == nil {
		return ending{}, record.Moved, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ending{}, record.Moved, err
	}
	var end ending
	if !os.SameFile(info, l.info) {
		if end, err = endOf(f, info.Size()); err != nil {
			return ending{}, record.Moved, fileError(currentName(l.path), "%w", err)
		}
	}
	if b := readBase(l.path); end.seq == 0 && b.known {
		end = ending{seq: b.seq, prev: b.prev, torn: b.torn, hash: b.prev, fromBase: true}
	}
	return end, record.Emptied, nil
}

// link gives the open file its second name, and writes its base b first. No entry is written to an empty file before.
func (l *Log) link(continues bool, b base) error {
	if !continues || !isCurrent(l.path, l.info) {
		if err := errors.Join(l.setBase(b), l.head.Sync()); err != nil {
			l.syncDoubt = err
		}
	}
	err := l.storage.link(l.path, l.info)
	if errors.Is(err, errRenamed) {
		return err
	}
	l.logLinkResult(err)
	return nil
}

// An ending describes the end of a file.
type ending struct {
	seq  uint64      // the number of its last record; 0: it has none
	hash record.Hash // the hash of that record's line
	prev record.Hash // the hash of that line with the bytes after it
	torn int         // the number of these bytes
	open bool        // the file does not end with a newline

	fromBase bool // the ending is the base; hash is the hash of the record only if torn is 0
}

var errNotALog = errors.New("it is no audit file, or damaged at its end; move it away, and see steer audit verify")

// maxTorn is the largest number of bytes after the last record.
const maxTorn = 1 << 20

// endOf finds the last record of a file. If the file has only a part of a first record, endOf truncates it: no record
// follows, and no caller got a reply for it.
func endOf(f file, size int64) (ending, error) {
	start := size + 1
	for text, err := range record.Backward(f, size) {
		if err != nil {
			return ending{}, err
		}
		start -= int64(len(text)) + 1
		e, err := record.Parse(text)
		if err != nil && size-start > maxTorn {
			return ending{}, errNotALog
		}
		if err != nil {
			continue
		}
		tail := make([]byte, size-start)
		if _, err := f.ReadAt(tail, start); err != nil {
			return ending{}, err
		}
		tail, closed := bytes.CutSuffix(tail, newline)
		return ending{
			seq: e.Seq, hash: sha256.Sum256(text), prev: sha256.Sum256(tail),
			torn: max(len(tail)-len(text)-1, 0), open: !closed,
		}, nil
	}
	if size == 0 {
		return ending{}, nil
	}
	var begin [len(record.LinePrefix)]byte
	if n, _ := f.ReadAt(begin[:], 0); size > record.MaxLine || string(begin[:n]) != record.LinePrefix[:n] {
		return ending{}, errNotALog
	}
	return ending{}, f.Truncate(0)
}
