package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/rudderpost/rudderpost/audit/record"
)

// resume opens the file and finds where the chain goes on. It returns the entry that says so.
func (l *Log) resume() (record.Entry, error) {
	opened := record.Entry{Event: record.Opened}
	f, err := l.opener(l.path)
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
	head, err := record.ReadHead(l.path)
	switch {
	case err != nil:
		opened.Text = "where the log ended cannot be told: " + err.Error()
	case head == nil && end.seq > 0:
		opened.Text = "there was nothing to tell where the log ended"
	case head == nil:
	case end.seq == 0:
		end.seq, end.prev = head.Seq, head.Hash // it was moved away while nobody wrote
	case head.Seq > end.seq:
		opened.MissingSince = end.seq + 1
		opened.Text = "records were cut off, or a power cut has lost them"
		end.seq = head.Seq
	case head.Seq == end.seq && head.Hash != end.hash:
		opened.Text = fmt.Sprintf("record %d is not the one that was written", end.seq)
	}
	if opened.Text != "" {
		l.log.Error("the audit is not as it was left", "file", l.path, "problem", opened.Text)
	}
	opened.Torn = end.torn
	l.last = record.Head{Seq: end.seq, Hash: end.prev}
	l.written, l.synced = end.seq, end.seq
	if end.open {
		l.lines = append(l.lines, '\n')
	}
	return opened, nil
}

// An ending is how a file ends.
type ending struct {
	seq  uint64      // of its last record; 0: it has none
	hash record.Hash // of that record's line
	prev record.Hash // of that and what stands behind it
	torn int         // how much that is
	open bool        // there is no newline at the end
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
