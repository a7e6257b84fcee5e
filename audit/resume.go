package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"github.com/rudderpost/rudderpost/audit/record"
)

// resume opens the file and finds where the chain goes on. It returns the entry that says so. What a crash can
// have left, and what the entry says of it:
//
//	the file       its second name    the head              the entry
//	has records    any                the last record, or   nothing: the chain goes on behind the last record
//	                                  one before it
//	has records    any                a later record        MissingSince: records were cut off, or a power cut lost them
//	has records    any                none, or unreadable   NoHead
//	has records    any                another record        OtherRecord: no crash leaves this
//	has none       another file       as above              as above: the chain goes on behind that file
//	has none       this file, or an   any                   as above: the chain goes on behind the base
//	               empty one
//	has none       the same, and the  any                   Emptied: the chain goes on behind the head
//	               base is not known
//	has none       none               any                   Moved: the chain goes on behind the head
//	has none       none               none                  nothing: this is the first start
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
		return opened, fault(l.path, "%w", err)
	}
	goesOn, lost := end.seq > 0, record.Moved
	if !goesOn {
		if end, lost, err = l.before(); err != nil {
			l.log.Error("the audit cannot go on from its last file", "error", err)
		}
	}
	head, err := record.ReadHead(l.path)
	switch {
	case err != nil:
		opened.Doubt, opened.Text = record.NoHead, "where the log ended cannot be told: "+err.Error()
	case head == nil && end.seq == 1 && l.isFirst(): // killed before it wrote its first head
	case head == nil && end.seq > 0:
		opened.Doubt, opened.Text = record.NoHead, "there was nothing to tell where the log ended"
	case head == nil:
	case end.seq == 0 && !end.onlyBase:
		opened.Doubt = lost
		end.seq, end.hash, end.prev = head.Seq, head.Hash, head.Hash
	case head.Seq > end.seq:
		opened.MissingSince = end.seq + 1
		opened.Text = "records were cut off, or a power cut has lost them"
		end.seq = head.Seq
	case head.Seq == end.seq && head.Hash != end.hash && (!end.onlyBase || end.torn == 0):
		opened.Doubt, opened.Text = record.OtherRecord, fmt.Sprintf("record %d is not the one that was written", end.seq)
	}
	if opened.Text != "" {
		l.log.Error("the audit is not as it was left", "file", l.path, "problem", opened.Text)
	} else if opened.Doubt != "" {
		l.log.Warn("the audit's file is empty; it goes on from the head alone", "file", l.path, "head", head.Seq)
	}
	opened.Torn = end.torn
	l.last = record.Head{Seq: end.seq, Hash: end.prev}
	l.written, l.synced = end.seq, end.seq
	if goesOn && end.open {
		l.lines = append(l.lines, '\n')
	}
	if !goesOn && !end.onlyBase && end.seq > 0 && opened.MissingSince == 0 && (opened.Doubt == "" || opened.Doubt == record.NoHead) {
		l.writeHead(record.Head{Seq: end.seq, Hash: end.hash}) // the file that has this end loses its second name
	}
	first := base{seq: end.seq, prev: end.prev, torn: end.torn, known: true}
	if opened.MissingSince > 0 {
		first.seq = opened.MissingSince - 1
	}
	if goesOn || opened.Doubt == record.Moved || opened.Doubt == record.Emptied {
		first.known = false // the file before is not known
	}
	return opened, l.name(goesOn, first)
}

// isFirst reports whether the log was never opened before the file that is written now.
func (l *Log) isFirst() bool {
	b := readBase(l.path)
	return b.known && b.seq == 0
}

// before returns the end of the file that was written before this one, which is empty, and otherwise why there is
// none.
func (l *Log) before() (ending, record.Doubtful, error) {
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
			return ending{}, record.Moved, fault(currentName(l.path), "%w", err)
		}
	}
	if b := readBase(l.path); end.seq == 0 && b.known {
		end = ending{seq: b.seq, prev: b.prev, torn: b.torn, hash: b.prev, onlyBase: true}
	}
	return end, record.Emptied, nil
}

// name gives the file that is open its second name. Nothing is written to an empty file before.
func (l *Log) name(goesOn bool, b base) error {
	if !goesOn || !isCurrent(l.path, l.info) {
		if err := errors.Join(l.setBase(b), l.head.Sync()); err != nil {
			l.doubt = err
		}
	}
	err := l.storage.link(l.path, l.info)
	if errors.Is(err, errNameTaken) {
		return err
	}
	l.tellLinked(err)
	return nil
}

// An ending is how a file ends.
type ending struct {
	seq  uint64      // of its last record; 0: it has none
	hash record.Hash // of that record's line
	prev record.Hash // of that and what stands behind it
	torn int         // how much that is
	open bool        // there is no newline at the end

	onlyBase bool // it is the base; hash is that of the record only where nothing is torn
}

var errNoLog = errors.New("it is no audit file, or damaged at its end; move it away, and see steer audit verify")

// maxTorn is how much may stand behind the last record, in bytes.
const maxTorn = 1 << 20

// endOf looks for the last record of a file. The beginning of a first one is cut away: nothing has
// followed it, and nobody was told that it was written.
func endOf(f file, size int64) (ending, error) {
	start := size + 1
	for text, err := range record.Backward(f, size) {
		if err != nil {
			return ending{}, err
		}
		start -= int64(len(text)) + 1
		e, err := record.Parse(text)
		if err != nil && size-start > maxTorn {
			return ending{}, errNoLog
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
	var begin [len(record.Beginning)]byte
	if n, _ := f.ReadAt(begin[:], 0); size > record.MaxLine || string(begin[:n]) != record.Beginning[:n] {
		return ending{}, errNoLog
	}
	return ending{}, f.Truncate(0)
}
