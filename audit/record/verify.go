package record

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// A Summary says what a log holds. It is of what was read before an error.
type Summary struct {
	First, Last Entry
	Records     int
	Head        Head    // of Last: worth noting elsewhere
	Compared    bool    // a head was there to compare the end with
	Torn        int     // bytes at the end of files that are no whole record; no caller was told that those are written
	Lost        uint64  // records that could not be written, as the log says itself
	Suppressed  uint64  // refusals without a record of their own, as the log says itself
	Doubts      []Doubt // where it is in doubt, in the order of the log; 100 at most
	MoreDoubts  int     // those beyond that
}

// maxDoubts is how many places a Summary names.
const maxDoubts = 100

// Verdict returns Whole or InDoubt. It has no meaning when Verify returned an error.
func (s *Summary) Verdict() Verdict {
	if len(s.Doubts) > 0 {
		return InDoubt
	}
	return Whole
}

// VerdictOf returns the verdict that Verify, VerifyFiles or VerifyNoted gave. ok is false where there is
// none: the error is of reading.
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

// Verify checks the chain of a log. A head, if there is one, is one that was noted: the log must have that
// record. The error is a *ChainError when the log does not fit, a *NoRecordsError when it has no records, or
// r's.
func Verify(r io.Reader, noted *Head) (Summary, error) {
	var v verifier
	v.expect(noted)
	err := v.read("", r)
	if err == nil {
		err = v.end("", nil)
	}
	return v.Summary, err
}

// VerifyFiles is Verify for the files that a log was cut into by rotation, the oldest first. The end is
// compared with the head file of the last one. Files may be compressed with gzip. The daemon may write to the
// log meanwhile.
func VerifyFiles(paths ...string) (Summary, error) { return verifyFiles(nil, paths) }

// VerifyNoted is VerifyFiles, and checks too that the log has what it had when a head was noted: no change of
// the records up to there gives the verdict Whole.
func VerifyNoted(noted Head, paths ...string) (Summary, error) { return verifyFiles(&noted, paths) }

func verifyFiles(noted *Head, paths []string) (Summary, error) {
	var v verifier
	if len(paths) == 0 {
		return v.Summary, nil
	}
	last := paths[len(paths)-1]
	head, err := ReadHead(last) // before the records, which go farther each moment
	if err != nil {
		return v.Summary, err
	}
	v.expect(noted)
	v.own = head
	for _, path := range paths {
		if err := v.file(path); err != nil {
			return v.Summary, err
		}
	}
	return v.Summary, v.end(filepath.Base(last), head)
}

// A verifier follows a chain.
type verifier struct {
	Summary
	noted  *Head // one that was noted
	own    *Head // what the head file says
	found  bool  // the record of noted
	hashes hashes

	name  string
	line  int
	at    int  // the line of Last; 0: it is in the file before
	begun bool // the file has had a record
	text  []byte
	tail  []byte // the line of Last, and what stands behind it in the same file
	junk  *ChainError
	left  *leftover // what stands behind Last in the file before
	ownAt Hash      // of the record that own names
}

// A leftover is what stands behind the last record of a file that another one follows.
type leftover struct {
	file       string
	line       int
	tail       []byte // the record and what stands behind it
	torn       []byte // what stands behind it
	unfinished bool   // it ends without a newline
	last       []byte // then: the line that does, which can be a record
	before     []byte // and tail without that line
}

// isBegun reports whether it is the beginning of one record, which is being written, or which a crash left.
func (l *leftover) isBegun() bool {
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

// read follows the chain through a file.
func (v *verifier) read(name string, r io.Reader) error {
	v.name, v.line, v.at, v.begun = name, 0, 0, false
	v.tail = append(v.tail[:0], v.text...)
	var begin []byte // of the first line
	unfinished := false
	for text, err := range lines(r) {
		if v.line++; v.line == 1 {
			begin = append(begin, text[:min(len(text), 128)]...)
		}
		switch {
		case errors.Is(err, errUnfinished):
			v.between(text, err)
			unfinished = true
		case errors.Is(err, errEndless):
			return v.noRecord(begin)
		case err != nil:
			return err
		default:
			e, err := Parse(text)
			if err != nil {
				v.between(text, err)
			} else if err := v.follow(e, text); err != nil {
				return err
			}
		}
		if len(v.tail) > maxTail {
			return v.noRecord(begin)
		}
	}
	onlyBegun := unfinished && v.line == 1 && isBeginning(begin)
	if v.line > 0 && !v.begun && !onlyBegun {
		return v.noRecord(begin)
	}
	return v.leave(unfinished)
}

// noRecord says what is wrong with a file that has something else than records in it.
func (v *verifier) noRecord(begin []byte) error {
	if v.begun {
		return v.junk
	}
	return &NoRecordsError{v.name, kindOf(begin)}
}

// isBeginning reports whether a text can be that of a record whose end is not written.
func isBeginning(text []byte) bool {
	n := min(len(text), len(Beginning))
	return string(text[:n]) == Beginning[:n]
}

// leave ends a file. What is unfinished there was left by a crash, or is being written.
func (v *verifier) leave(unfinished bool) error {
	if v.junk == nil {
		return nil
	}
	if line := v.tail[min(len(v.text)+1, len(v.tail)):]; v.left != nil && unfinished && v.line == 1 {
		if e, err := Parse(line); err == nil { // only its newline is missing
			v.junk = nil
			return v.follow(e, bytes.Clone(line))
		}
	}
	torn := v.tail[min(len(v.text)+1, len(v.tail)):]
	if l := v.left; l != nil && l.unfinished && unfinished && (bytes.HasPrefix(l.torn, torn) || bytes.HasPrefix(torn, l.torn)) { // it is being written again
		v.Torn += len(torn)
		v.junk = nil
		return nil
	}
	if v.left != nil { // two files in a row without a record at the end
		v.unspoken(v.left)
	}
	v.Torn += len(torn)
	v.left = &leftover{file: v.name, line: v.junk.Line, tail: bytes.Clone(v.tail), torn: bytes.Clone(torn), unfinished: unfinished}
	if i := bytes.LastIndexByte(v.left.tail, '\n'); unfinished && i >= 0 {
		v.left.before, v.left.last = v.left.tail[:i], v.left.tail[i+1:]
	}
	v.junk = nil
	return nil
}

// unspoken notes that no record speaks of what a file ends with.
func (v *verifier) unspoken(l *leftover) {
	v.doubt(Doubt{l.file, l.line, v.Last.Seq + 1, fmt.Sprintf("%d bytes that are no record stand at its end, and no later record mentions them", len(l.torn))})
}

// between remembers what is no record. It may be one that a crash left unfinished.
func (v *verifier) between(text []byte, why error) {
	if v.junk == nil {
		v.junk = v.problem(v.line, 0, "%v", why)
	}
	v.tail = append(append(v.tail, '\n'), text...)
}

// follow adds a record to the chain.
func (v *verifier) follow(e Entry, text []byte) error {
	switch {
	case v.Records == 0 && v.junk != nil:
		return v.junk
	case v.Records == 0 && v.left != nil:
		if first, err := Parse(v.left.torn); v.left.unfinished && err == nil { // only its newline is missing
			l := v.left
			v.left = nil
			if err := v.first(first, l.torn); err != nil {
				return err
			}
			v.begun = false
			return v.follow(e, text)
		}
		v.unspoken(v.left)
		v.left = nil
		return v.first(e, text)
	case v.Records == 0:
		return v.first(e, text)
	case v.left != nil:
		if again, err := v.behindLeftover(e, text); again || err != nil {
			return err
		}
	default:
		if err := v.belongs(e, v.tail, v.torn()); err != nil {
			return err
		}
	}
	return v.take(e, text)
}

// first takes the first record of all.
func (v *verifier) first(e Entry, text []byte) error {
	v.First = e
	if e.Seq == 1 && !e.Prev.IsZero() {
		return v.problem(v.line, 1, "it is the first record, and says that there was one before")
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
	return v.take(e, text)
}

// take makes a record that belongs there the last one.
func (v *verifier) take(e Entry, text []byte) error {
	if err := v.started(e); err != nil {
		return err
	}
	v.Records++
	v.begun = true
	v.Last, v.at, v.junk = e, v.line, nil
	v.text = append(v.text[:0], text...)
	v.tail = append(v.tail[:0], text...)
	v.Head = Head{e.Seq, sha256.Sum256(text)}
	v.hashes.put(v.Head)
	if v.noted != nil && v.Head == *v.noted {
		v.found = true
	}
	if v.own != nil && v.own.Seq == e.Seq {
		v.ownAt = v.Head.Hash
	}
	switch e.Event {
	case Gap:
		v.Lost += e.Count
	case Suppressed:
		v.Suppressed += e.Count
	}
	return nil
}

// started notes what the daemon found when it opened the log, and did not like.
func (v *verifier) started(e Entry) error {
	switch {
	case e.Event != Opened:
	case e.Doubt == OtherRecord:
		return v.problem(v.line, e.Seq, "the daemon found at its start that record %d was not the one that it had written", e.Seq-1)
	case e.Doubt == NoHead:
		v.doubt(Doubt{v.name, v.line, e.Seq, "the head file was missing or unreadable when the daemon started, so records may have been cut off before this one"})
	}
	return nil
}

// belongs says why a record does not belong behind the last one and what stands behind that.
func (v *verifier) belongs(e Entry, tail []byte, torn int) error {
	next := v.Last.Seq + 1
	bound := e.Prev == sha256.Sum256(tail) && e.Torn == torn
	if v.junk != nil && (e.Event != Opened || e.Torn != torn) {
		return v.junk
	}
	fresh := e.Seq == 1 && e.Prev.IsZero() && !e.Time.Before(v.Last.Time)
	if e.Event == Opened && !v.begun && (e.Doubt == Moved || e.Doubt == Emptied || fresh) {
		return v.unbound(e, next, bound)
	}
	switch {
	case e.MissingSince == next && e.Event == Opened && e.Seq > next:
		if !bound {
			break
		}
		v.doubt(Doubt{v.name, v.line, next, fmt.Sprintf(
			"the records %d to %d were missing when the daemon started: they were cut off, or the power failed before they were on the disk", next, e.Seq-1)})
		return nil
	case e.Seq > next:
		return v.problem(v.line, e.Seq, "the records %d to %d are missing before it", next, e.Seq-1)
	case e.Seq < next && !v.begun:
		return v.problem(v.line, e.Seq, "it stands behind record %d, where %d belongs; give the oldest file first", v.Last.Seq, next)
	case e.Seq < next:
		return v.problem(v.line, e.Seq, "it stands behind record %d, where %d belongs", v.Last.Seq, next)
	case bound:
		return nil
	case e.Prev == sha256.Sum256(tail):
		return v.problem(v.line, e.Seq, "it speaks of %d bytes of an unfinished record before it, and there are %d", e.Torn, torn)
	}
	return v.problem(max(v.at, 1), v.Last.Seq, "record %d does not belong behind it; one of the two was changed", e.Seq)
}

// unbound deals with the first record after a start at which the daemon had no file to go on from, but only
// the head.
func (v *verifier) unbound(e Entry, next uint64, bound bool) error {
	switch {
	case e.Seq == next && bound:
		v.doubt(Doubt{v.name, v.line, next, "the daemon found only the head when it started, and no file to go on from, so records may have been removed from the end of the file before"})
		return nil
	case e.Seq == 1 && e.Prev.IsZero():
		v.doubt(Doubt{v.name, v.line, next, "the daemon found neither records nor a head when it started, and began a new log; no later record proves those before it"})
		return nil
	case e.Seq > next:
		v.doubt(Doubt{v.name, v.line, next, fmt.Sprintf(
			"the daemon found no records when it started, and the head named record %d; the records %d to %d are missing, and no later record proves those before them", e.Seq-1, next, e.Seq-1)})
		return nil
	case e.Seq < next && v.hashes.has(Head{e.Seq - 1, e.Prev}):
		v.doubt(Doubt{v.name, v.line, e.Seq, fmt.Sprintf(
			"a daemon that was killed wrote the records %d to %d of the file before, which was moved before the next start; no later record proves them", e.Seq, v.Last.Seq)})
		return nil
	}
	return v.problem(v.line, e.Seq, "it does not belong behind record %d; one of the two was changed", v.Last.Seq)
}

// behindLeftover deals with the first record of a file when the file before it ends with what is no record.
// again says that it repeats what stands there.
func (v *verifier) behindLeftover(e Entry, text []byte) (again bool, err error) {
	l := v.left
	v.left = nil
	if v.junk != nil {
		return false, v.junk
	}
	if e.Event == Opened && e.Torn == len(l.torn) && e.Prev == sha256.Sum256(l.tail) {
		return false, v.belongs(e, l.tail, len(l.torn)) // a crash left it
	}
	if l.unfinished {
		whole, err := Parse(l.last)
		if err == nil && v.belongs(whole, l.before, max(len(l.before)-len(v.text)-1, 0)) == nil {
			if err := v.take(whole, l.last); err != nil { // only its newline is missing
				return false, err
			}
			v.begun = false
			if bytes.Equal(l.last, text) {
				v.begun = true
				return true, nil
			}
			return false, v.belongs(e, v.text, 0)
		}
	}
	if err := v.belongs(e, v.text, 0); err != nil {
		return false, err
	}
	if !l.unfinished || !bytes.HasPrefix(text, l.torn) { // else the same daemon wrote it again, here
		v.unspoken(l)
	}
	return false, nil
}

// torn is how much stands behind the last record, without the newline that ends it.
func (v *verifier) torn() int { return max(len(v.tail)-len(v.text)-1, 0) }

// end compares where the log ends with where it should.
func (v *verifier) end(name string, own *Head) error {
	v.name = name
	if v.Records == 0 {
		text := "it is empty"
		if own != nil {
			text = fmt.Sprintf("it is empty, and the head names record %d; give the files before it too", own.Seq)
		}
		return &NoRecordsError{name, text}
	}
	if l := v.left; l != nil && !l.isBegun() {
		v.unspoken(l)
	}
	if err := v.reaches(v.noted); err != nil {
		return err
	}
	v.Compared = own != nil
	switch {
	case own == nil && v.noted != nil && v.noted.Seq >= v.Last.Seq:
		v.Compared = true
	case own == nil:
		v.doubt(Doubt{name, 0, v.Last.Seq + 1, "no head file says where it should end, so records may have been cut off there"})
	case own.Seq > v.Last.Seq:
		v.doubt(Doubt{name, 0, v.Last.Seq + 1, fmt.Sprintf(
			"the head file names record %d: the records from %d on were cut off, or the power failed before they were on the disk", own.Seq, v.Last.Seq+1)})
	case own.Seq < v.First.Seq && own.Seq+1 == v.First.Seq && (v.First.Prev == own.Hash || v.First.Torn > 0):
	case own.Seq < v.First.Seq:
		v.doubt(Doubt{name, 0, v.Last.Seq + 1, fmt.Sprintf(
			"the head file names record %d, which is older than these records, so records may have been cut off at the end", own.Seq)})
	case v.ownAt != own.Hash:
		return v.problem(0, own.Seq, "it is not the record that was written; it was changed, or the head is of another log")
	}
	return nil
}

// reaches says why the log is not the one of which a head was noted.
func (v *verifier) reaches(noted *Head) error {
	switch {
	case noted == nil || v.found:
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

// hashes has the last records that were read.
type hashes struct{ ring []Head }

// maxHashes is how many: a daemon that was killed has not written more behind its head.
const maxHashes = 1 << 16

func (h *hashes) put(head Head) {
	if i := int(head.Seq % maxHashes); i < len(h.ring) {
		h.ring[i] = head
		return
	} else if i > len(h.ring) {
		h.ring = append(h.ring, make([]Head, i-len(h.ring))...)
	}
	h.ring = append(h.ring, head)
}

func (h *hashes) has(head Head) bool {
	i := int(head.Seq % maxHashes)
	return i < len(h.ring) && h.ring[i] == head
}
