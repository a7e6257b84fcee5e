package record

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// A Summary is what a log holds that fits.
type Summary struct {
	First, Last Entry
	Records     int
	Head        Head   // of Last: worth noting elsewhere
	Compared    bool   // a head was there to compare with
	Torn        int    // bytes at the end of files that are no whole record; nobody was told that those are written
	Lost        uint64 // records that could not be written, as the log says itself
	Suppressed  uint64 // refusals without a record of their own, as the log says itself
}

// A ChainError is the first place at which a log does not fit.
type ChainError struct {
	File string // its name, where it has one
	Line int    // from 1; 0: the end of the file
	Seq  uint64 // the record's number, where it has one
	Text string // what is wrong
}

// Error names the place.
func (p *ChainError) Error() string {
	where := "at its end"
	if p.Line > 0 {
		where = fmt.Sprintf("line %d", p.Line)
	}
	if p.Seq > 0 {
		where += fmt.Sprintf(" (record %d)", p.Seq)
	}
	if p.File != "" {
		where = p.File + ": " + where
	}
	return where + ": " + p.Text
}

// Verify checks the chain of a log, and that it goes as far as head says, if there is one. The Summary
// is of what was read before the error, a *ChainError when the log does not fit.
func Verify(r io.Reader, head *Head) (Summary, error) {
	var v verifier
	v.Compared = head != nil
	v.expect(head)
	err := v.read("", r)
	if err == nil {
		err = v.end("")
	}
	return v.Summary, err
}

// VerifyFiles is Verify for the files that a log was cut into by rotation, the oldest first. The head is
// that of the last. The log may be written to meanwhile.
func VerifyFiles(paths ...string) (Summary, error) { return verifyFiles(nil, paths) }

// VerifyNoted is VerifyFiles, and checks too that the log has what it had when a head was noted.
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
	v.Compared = head != nil
	v.expect(head)
	v.expect(noted)
	for _, path := range paths {
		if err := v.file(path); err != nil {
			return v.Summary, err
		}
	}
	return v.Summary, v.end(filepath.Base(last))
}

// A verifier follows a chain.
type verifier struct {
	Summary
	heads []expected

	name   string
	line   int
	at     int    // the line of Last; 0: it is in the file before
	tail   []byte // the line of Last, and what stands behind it
	record int    // bytes of tail that are Last's
	junk   *ChainError
}

// An expected head is one that the log should have, or have had.
type expected struct {
	Head
	found Hash // of the record that has its number
}

func (v *verifier) expect(head *Head) {
	if head != nil {
		v.heads = append(v.heads, expected{Head: *head})
	}
}

func (v *verifier) file(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return v.read(filepath.Base(path), f)
}

// read follows the chain through a file.
func (v *verifier) read(name string, r io.Reader) error {
	v.name, v.line, v.at = name, 0, 0
	for text, err := range lines(r) {
		v.line++
		switch {
		case errors.Is(err, errUnfinished):
			v.between(text, err)
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
			return v.junk
		}
	}
	// What is unfinished at the end was not followed by anything: a crash has left it, or somebody
	// writes it just now. A record that was damaged is missed further on, or by the head.
	v.Torn += v.torn()
	v.tail = v.tail[:v.record]
	v.junk = nil
	return nil
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
	if v.Records == 0 {
		if v.junk != nil {
			return v.junk
		}
		v.First = e
		if e.Seq == 1 && !e.Prev.IsZero() {
			return v.problem(v.line, 1, "it is the first record, and says that there was one before")
		}
	} else if err := v.fits(e); err != nil {
		return err
	}
	v.Records++
	v.Last, v.at, v.junk = e, v.line, nil
	v.tail = append(v.tail[:0], text...)
	v.record = len(text)
	v.Head = Head{e.Seq, sha256.Sum256(text)}
	for i := range v.heads {
		if v.heads[i].Seq == e.Seq {
			v.heads[i].found = v.Head.Hash
		}
	}
	switch e.Event {
	case Gap:
		v.Lost += e.Count
	case Suppressed:
		v.Suppressed += e.Count
	}
	return nil
}

// fits says why a record does not belong behind the one before.
func (v *verifier) fits(e Entry) error {
	next := v.Last.Seq + 1
	torn := v.torn()
	switch {
	case e.MissingSince == next && e.Event == Opened && e.Seq > next:
		return v.problem(v.line, e.Seq, "the records %d to %d were missing when the daemon started: somebody has cut them off, or the power failed before they were on the disk", next, e.Seq-1)
	case v.junk != nil && (e.Event != Opened || e.Torn != torn):
		return v.junk
	case e.Seq > next:
		return v.problem(v.line, e.Seq, "the records %d to %d are missing before it", next, e.Seq-1)
	case e.Seq < next:
		return v.problem(v.line, e.Seq, "it stands behind record %d, where %d belongs", v.Last.Seq, next)
	case e.Prev != sha256.Sum256(v.tail):
		return v.problem(max(v.at, 1), v.Last.Seq, "record %d does not belong behind it; one of the two was changed", e.Seq)
	case e.Torn != torn:
		return v.problem(v.line, e.Seq, "it speaks of %d bytes of an unfinished record before it, and there are %d", e.Torn, torn)
	}
	return nil
}

// torn is how much stands behind the last record, without the newline that ends it.
func (v *verifier) torn() int { return max(len(v.tail)-v.record-1, 0) }

// end compares where the log ends, or ended once, with where it should.
func (v *verifier) end(name string) error {
	v.name = name
	for _, head := range v.heads {
		switch {
		case head.Seq > v.Last.Seq:
			return v.problem(0, v.Last.Seq, "there were records up to %d, and those after %d were cut off", head.Seq, v.Last.Seq)
		case head.Seq < v.First.Seq:
			return v.problem(0, v.Last.Seq, "record %d, which a head names, is not in it; give the files before it too", head.Seq)
		case head.found != head.Hash:
			return v.problem(0, head.Seq, "it is not the record that was written; it was changed, or the head is of another log")
		}
	}
	return nil
}

func (v *verifier) problem(line int, seq uint64, format string, args ...any) *ChainError {
	return &ChainError{v.name, line, seq, string(bytes.ToValidUTF8(fmt.Appendf(nil, format, args...), []byte("?")))}
}
