package record

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// A Summary describes the records that Verify has read. After an error it describes those before the error.
type Summary struct {
	First, Last Entry
	Records     int
	Head        Head    // the head of Last, to note in another place
	Compared    bool    // the end was compared with a head
	Torn        int     // bytes of incomplete records at the end of files; no caller got a reply for those
	Lost        uint64  // records that could not be written, by the gap records
	Suppressed  uint64  // refusals without a record, by the suppressed records
	Doubts      []Doubt // the places in doubt, in the order of the log; 100 at most
	MoreDoubts  int     // the number of further places
}

// maxDoubts is the number of places in a Summary.
const maxDoubts = 100

// Verdict returns Whole or InDoubt. It is meaningless if Verify has returned an error.
func (s *Summary) Verdict() Verdict {
	if len(s.Doubts) > 0 {
		return InDoubt
	}
	return Whole
}

// VerdictOf returns the verdict for the results of Verify, VerifyFiles or VerifyNoted. ok is false if the error is
// one of reading, so that there is no verdict.
func VerdictOf(s *Summary, err error) (verdict Verdict, ok bool) {
	if err == nil {
		return s.Verdict(), true
	}
	if _, is := errors.AsType[*ChainError](err); is {
		return Changed, true
	}
	_, is := errors.AsType[*NoRecordsError](err)
	return NoRecords, is
}

// Verify checks the chain of a log. noted, if not nil, is a head that was noted before: the log must have that
// record. The error is a *ChainError if the chain is broken, a *NoRecordsError if r has no records, or the error of
// r.
func Verify(r io.Reader, noted *Head) (Summary, error) {
	var v verifier
	v.expect(noted)
	err := v.read("", r)
	if err == nil {
		err = v.end("", nil)
	}
	return v.Summary, err
}

// VerifyFiles is Verify for the files of a log that was rotated, the oldest first. It compares the end with the head
// file of the last one. Files may be compressed with gzip. The daemon may write to the log meanwhile.
func VerifyFiles(paths ...string) (Summary, error) { return verifyFiles(nil, paths) }

// VerifyNoted is VerifyFiles, and also requires the record of a head that was noted before. With it, no change of the
// records up to that one gives the verdict Whole.
func VerifyNoted(noted Head, paths ...string) (Summary, error) { return verifyFiles(&noted, paths) }

func verifyFiles(noted *Head, paths []string) (Summary, error) {
	var v verifier
	if len(paths) == 0 {
		return v.Summary, nil
	}
	last := paths[len(paths)-1]
	head, err := ReadHead(last) // read before the records, since the daemon may append more
	if err != nil {
		return v.Summary, err
	}
	v.expect(noted)
	v.head = head
	for _, path := range paths {
		if err := v.file(path); err != nil {
			return v.Summary, err
		}
	}
	return v.Summary, v.end(filepath.Base(last), head)
}

// A verifier checks a chain record by record. Its Summary is the result.
type verifier struct {
	Summary
	noted      *Head // a head that was noted before; nil: none
	head       *Head // the head file's; nil: there is none
	notedFound bool  // the record that noted names was read
	recent     recentHeads

	name      string
	line      int
	lastLine  int  // the line of Last; 0: it is in the file before
	hasRecord bool // the file has a record
	text      []byte
	tail      []byte      // the line of Last with the bytes after it in the same file
	invalid   *ChainError // the first line after Last that is no record; nil: there is none
	leftover  *leftover   // the bytes after Last in the file before; nil: there are none
	atHead    Hash        // the hash of the record that head names
}

// A leftover has the bytes after the last record of a file that another file follows.
type leftover struct {
	file       string
	line       int
	tail       []byte // the last record with the bytes after it
	torn       []byte // the bytes after it
	unfinished bool   // torn ends without a newline
	last       []byte // if unfinished: the last line of torn, which can be a record
	before     []byte // if unfinished: tail without that line
}

// isPartial reports whether torn is the beginning of one record: it is being written, or a crash has left it.
func (l *leftover) isPartial() bool {
	return l.unfinished && isBeginning(l.torn) && bytes.IndexByte(l.torn, '\n') < 0
}

func (v *verifier) expect(noted *Head) { v.noted = noted }

func (v *verifier) file(path string) error {
	f, err := Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	name := filepath.Base(path)
	err = v.read(name, f)
	if _, ok := VerdictOf(&v.Summary, err); !ok {
		return fmt.Errorf("%s: %w", name, err)
	}
	return err
}

// read checks the records of one file.
func (v *verifier) read(name string, r io.Reader) error {
	v.name, v.line, v.lastLine, v.hasRecord = name, 0, 0, false
	v.tail = append(v.tail[:0], v.text...)
	var begin []byte // the beginning of the first line
	unfinished := false
	for text, err := range lines(r) {
		if v.line++; v.line == 1 {
			begin = append(begin, text[:min(len(text), 128)]...)
		}
		switch {
		case errors.Is(err, errUnfinished):
			v.addInvalid(text, err)
			unfinished = true
		case errors.Is(err, errEndless):
			return v.noRecord(begin)
		case err != nil:
			return err
		default:
			e, err := Parse(text)
			if err != nil {
				v.addInvalid(text, err)
			} else if err := v.follow(e, text); err != nil {
				return err
			}
		}
		if len(v.tail) > maxTail {
			return v.noRecord(begin)
		}
	}
	onlyPartial := unfinished && v.line == 1 && isBeginning(begin)
	if v.line > 0 && !v.hasRecord && !onlyPartial {
		return v.noRecord(begin)
	}
	return v.endFile(unfinished)
}

// noRecord returns the error for a file that has other content than records.
func (v *verifier) noRecord(begin []byte) error {
	if v.hasRecord {
		return v.invalid
	}
	return &NoRecordsError{v.name, kindOf(begin)}
}

// isBeginning reports whether a text can be the beginning of a record.
func isBeginning(text []byte) bool {
	n := min(len(text), len(LinePrefix))
	return string(text[:n]) == LinePrefix[:n]
}

// endFile is called at the end of a file. Bytes after the last record were left by a crash, or are being written.
func (v *verifier) endFile(unfinished bool) error {
	if v.invalid == nil {
		return nil
	}
	if line := v.tail[min(len(v.text)+1, len(v.tail)):]; v.leftover != nil && unfinished && v.line == 1 {
		if e, err := Parse(line); err == nil { // only the newline is missing
			v.invalid = nil
			return v.follow(e, bytes.Clone(line))
		}
	}
	torn := v.tail[min(len(v.text)+1, len(v.tail)):]
	if l := v.leftover; l != nil && l.unfinished && unfinished && (bytes.HasPrefix(l.torn, torn) || bytes.HasPrefix(torn, l.torn)) { // it is being written again
		v.Torn += len(torn)
		v.invalid = nil
		return nil
	}
	if v.leftover != nil { // two files in a row end without a record
		v.unexplained(v.leftover)
	}
	v.Torn += len(torn)
	v.leftover = &leftover{file: v.name, line: v.invalid.Line, tail: bytes.Clone(v.tail), torn: bytes.Clone(torn), unfinished: unfinished}
	if i := bytes.LastIndexByte(v.leftover.tail, '\n'); unfinished && i >= 0 {
		v.leftover.before, v.leftover.last = v.leftover.tail[:i], v.leftover.tail[i+1:]
	}
	v.invalid = nil
	return nil
}

// unexplained adds the doubt that no record mentions the last bytes of a file.
func (v *verifier) unexplained(l *leftover) {
	v.doubt(Doubt{l.file, l.line, v.Last.Seq + 1, fmt.Sprintf("%d bytes that are no record stand at its end, and no later record mentions them", len(l.torn))})
}

// addInvalid adds a line that is no record. It may be a part of a record that a crash has left.
func (v *verifier) addInvalid(text []byte, why error) {
	if v.invalid == nil {
		v.invalid = v.problem(v.line, 0, "%v", why)
	}
	v.tail = append(append(v.tail, '\n'), text...)
}

// follow checks the next record and accepts it.
func (v *verifier) follow(e Entry, text []byte) error {
	switch {
	case v.Records == 0 && v.invalid != nil:
		return v.invalid
	case v.Records == 0 && v.leftover != nil:
		if first, err := Parse(v.leftover.torn); v.leftover.unfinished && err == nil { // only the newline is missing
			l := v.leftover
			v.leftover = nil
			if err := v.acceptFirst(first, l.torn); err != nil {
				return err
			}
			v.hasRecord = false
			return v.follow(e, text)
		}
		v.unexplained(v.leftover)
		v.leftover = nil
		return v.acceptFirst(e, text)
	case v.Records == 0:
		return v.acceptFirst(e, text)
	case v.leftover != nil:
		if repeated, err := v.followLeftover(e, text); repeated || err != nil {
			return err
		}
	default:
		if err := v.checkLink(e, v.tail, v.torn()); err != nil {
			return err
		}
	}
	return v.accept(e, text)
}

// acceptFirst accepts the first record of the log.
func (v *verifier) acceptFirst(e Entry, text []byte) error {
	v.First = e
	if e.Seq == 1 && !e.Prev.IsZero() {
		return v.problem(v.line, 1, "it is the first record, and has the hash of a record before")
	}
	switch {
	case e.MissingSince > 0:
		v.doubt(Doubt{v.name, v.line, e.MissingSince, fmt.Sprintf("the records %d to %d were missing when the daemon started", e.MissingSince, e.Seq-1)})
	case e.Doubt == Emptied:
		v.doubt(Doubt{v.name, v.line, e.Seq, fmt.Sprintf("the file was empty when the daemon started, and the head named record %d", e.Seq-1)})
	}
	if e.Seq > 1 && e.Event != Opened {
		v.doubt(Doubt{v.name, v.line, e.Seq, "a file begins with an opened record, and this one does not, so records may have been removed before it"})
	}
	return v.accept(e, text)
}

// accept makes a checked record the last one.
func (v *verifier) accept(e Entry, text []byte) error {
	if err := v.checkStart(e); err != nil {
		return err
	}
	v.Records++
	v.hasRecord = true
	v.Last, v.lastLine, v.invalid = e, v.line, nil
	v.text = append(v.text[:0], text...)
	v.tail = append(v.tail[:0], text...)
	v.Head = Head{e.Seq, sha256.Sum256(text)}
	v.recent.put(v.Head)
	if v.noted != nil && v.Head == *v.noted {
		v.notedFound = true
	}
	if v.head != nil && v.head.Seq == e.Seq {
		v.atHead = v.Head.Hash
	}
	switch e.Event {
	case Gap:
		v.Lost += e.Count
	case Suppressed:
		v.Suppressed += e.Count
	}
	return nil
}

// checkStart handles the doubt of an opened record.
func (v *verifier) checkStart(e Entry) error {
	switch {
	case e.Event != Opened:
	case e.Doubt == OtherRecord:
		return v.problem(v.line, e.Seq, "the daemon found at its start that record %d was not the one that it had written", e.Seq-1)
	case e.Doubt == NoHead:
		v.doubt(Doubt{v.name, v.line, e.Seq, "the head file was missing or unreadable when the daemon started, so records may have been cut off before this one"})
	}
	return nil
}

// checkLink returns an error if a record does not follow the last one. tail is the line of the last one with the
// bytes after it, and torn the number of these bytes.
func (v *verifier) checkLink(e Entry, tail []byte, torn int) error {
	next := v.Last.Seq + 1
	linked := e.Prev == sha256.Sum256(tail) && e.Torn == torn
	if v.invalid != nil && (e.Event != Opened || e.Torn != torn) {
		return v.invalid
	}
	fresh := e.Seq == 1 && e.Prev.IsZero() && !e.Time.Before(v.Last.Time)
	if e.Event == Opened && !v.hasRecord && (e.Doubt == Moved || e.Doubt == Emptied || fresh) {
		return v.checkRestart(e, next, linked)
	}
	switch {
	case e.MissingSince == next && e.Event == Opened && e.Seq > next:
		if !linked {
			break
		}
		v.doubt(Doubt{v.name, v.line, next, fmt.Sprintf(
			"the records %d to %d were missing when the daemon started: they were cut off, or the power failed before they were on the disk", next, e.Seq-1)})
		return nil
	case e.Seq > next:
		return v.problem(v.line, e.Seq, "the records %d to %d are missing before it", next, e.Seq-1)
	case e.Seq < next && !v.hasRecord:
		return v.problem(v.line, e.Seq, "it stands behind record %d, where %d belongs; give the oldest file first", v.Last.Seq, next)
	case e.Seq < next:
		return v.problem(v.line, e.Seq, "it stands behind record %d, where %d belongs", v.Last.Seq, next)
	case linked:
		return nil
	case e.Prev == sha256.Sum256(tail):
		return v.problem(v.line, e.Seq, "it mentions %d bytes of an unfinished record before it, and there are %d", e.Torn, torn)
	}
	return v.problem(max(v.lastLine, 1), v.Last.Seq, "record %d does not belong behind it; one of the two was changed", e.Seq)
}

// checkRestart checks the first record after a start at which the daemon found no file with records, but only the head.
func (v *verifier) checkRestart(e Entry, next uint64, linked bool) error {
	switch {
	case e.Seq == next && linked:
		v.doubt(Doubt{v.name, v.line, next, "the daemon found only the head when it started, and no file to go on from, so records may have been removed from the end of the file before"})
		return nil
	case e.Seq == 1 && e.Prev.IsZero():
		v.doubt(Doubt{v.name, v.line, next, "the daemon found neither records nor a head when it started, and began a new log; no later record proves those before it"})
		return nil
	case e.Seq > next:
		v.doubt(Doubt{v.name, v.line, next, fmt.Sprintf(
			"the daemon found no records when it started, and the head named record %d; the records %d to %d are missing, and no later record proves those before them", e.Seq-1, next, e.Seq-1)})
		return nil
	case e.Seq < next && v.recent.has(Head{e.Seq - 1, e.Prev}):
		v.doubt(Doubt{v.name, v.line, e.Seq, fmt.Sprintf(
			"a daemon that was killed wrote the records %d to %d of the file before, which was moved before the next start; no later record proves them", e.Seq, v.Last.Seq)})
		return nil
	}
	return v.problem(v.line, e.Seq, "it does not belong behind record %d; one of the two was changed", v.Last.Seq)
}

// followLeftover checks the first record of a file if the file before it ends with bytes that are no record. repeated
// says that the record repeats these bytes.
func (v *verifier) followLeftover(e Entry, text []byte) (repeated bool, err error) {
	l := v.leftover
	v.leftover = nil
	if v.invalid != nil {
		return false, v.invalid
	}
	if e.Event == Opened && e.Torn == len(l.torn) && e.Prev == sha256.Sum256(l.tail) {
		return false, v.checkLink(e, l.tail, len(l.torn)) // a crash has left these bytes
	}
	if l.unfinished {
		whole, err := Parse(l.last)
		if err == nil && v.checkLink(whole, l.before, max(len(l.before)-len(v.text)-1, 0)) == nil {
			if err := v.accept(whole, l.last); err != nil { // only the newline is missing
				return false, err
			}
			v.hasRecord = false
			if bytes.Equal(l.last, text) {
				v.hasRecord = true
				return true, nil
			}
			return false, v.checkLink(e, v.text, 0)
		}
	}
	if err := v.checkLink(e, v.text, 0); err != nil {
		return false, err
	}
	if !l.unfinished || !bytes.HasPrefix(text, l.torn) { // otherwise the same daemon has written the record again, to this file
		v.unexplained(l)
	}
	return false, nil
}

// torn returns the number of bytes after the last record, without its newline.
func (v *verifier) torn() int { return max(len(v.tail)-len(v.text)-1, 0) }

// end compares the end of the log with the heads.
func (v *verifier) end(name string, head *Head) error {
	v.name = name
	if v.Records == 0 {
		text := "it is empty"
		if head != nil {
			text = fmt.Sprintf("it is empty, and the head names record %d; give the files before it too", head.Seq)
		}
		return &NoRecordsError{name, text}
	}
	if l := v.leftover; l != nil && !l.isPartial() {
		v.unexplained(l)
	}
	if err := v.checkNoted(v.noted); err != nil {
		return err
	}
	v.Compared = head != nil
	switch {
	case head == nil && v.noted != nil && v.noted.Seq >= v.Last.Seq:
		v.Compared = true
	case head == nil:
		v.doubt(Doubt{name, 0, v.Last.Seq + 1, "no head file says where it should end, so records may have been cut off there"})
	case head.Seq > v.Last.Seq:
		v.doubt(Doubt{name, 0, v.Last.Seq + 1, fmt.Sprintf(
			"the head file names record %d: the records from %d on were cut off, or the power failed before they were on the disk", head.Seq, v.Last.Seq+1)})
	case head.Seq < v.First.Seq && head.Seq+1 == v.First.Seq && (v.First.Prev == head.Hash || v.First.Torn > 0):
	case head.Seq < v.First.Seq:
		v.doubt(Doubt{name, 0, v.Last.Seq + 1, fmt.Sprintf(
			"the head file names record %d, which is older than these records, so records may have been cut off at the end", head.Seq)})
	case v.atHead != head.Hash:
		return v.problem(0, head.Seq, "it is not the record that was written; it was changed, or the head is of another log")
	}
	return nil
}

// checkNoted returns an error if the log does not have the record of a noted head.
func (v *verifier) checkNoted(noted *Head) error {
	switch {
	case noted == nil || v.notedFound:
		return nil
	case noted.Seq > v.Last.Seq:
		return v.problem(0, v.Last.Seq, "there were records up to %d, and those after %d were cut off", noted.Seq, v.Last.Seq)
	case noted.Seq < v.First.Seq:
		return v.problem(0, v.Last.Seq, "record %d, which a head names, is not in it; give the files before it too", noted.Seq)
	}
	return v.problem(0, noted.Seq, "it is not the record that was written; it was changed, or the head is of another log")
}

func (v *verifier) doubt(d Doubt) {
	if len(v.Doubts) == maxDoubts {
		v.MoreDoubts++
		return
	}
	v.Doubts = append(v.Doubts, d)
}

func (v *verifier) problem(line int, seq uint64, format string, args ...any) *ChainError {
	return &ChainError{v.name, line, seq, string(bytes.ToValidUTF8(fmt.Appendf(nil, format, args...), []byte("?")))}
}

// recentHeads has the heads of the last maxRecent records.
type recentHeads struct{ ring []Head }

// maxRecent is larger than the number of records that a killed daemon can have written after its last head.
const maxRecent = 1 << 16

func (r *recentHeads) put(head Head) {
	if i := int(head.Seq % maxRecent); i < len(r.ring) {
		r.ring[i] = head
		return
	} else if i > len(r.ring) {
		r.ring = append(r.ring, make([]Head, i-len(r.ring))...)
	}
	r.ring = append(r.ring, head)
}

func (r *recentHeads) has(head Head) bool {
	i := int(head.Seq % maxRecent)
	return i < len(r.ring) && r.ring[i] == head
}
