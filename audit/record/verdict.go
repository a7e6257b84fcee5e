package record

import "fmt"

// A Verdict is the result of checking a log.
//
//	verdict    when                                                             returned as         exit status of steer audit verify
//	Whole      each record follows the record before it, and the log            nil error,          0
//	           goes at least as far as its head                                 no Doubts
//	InDoubt    the chain holds, but at the places in Doubts a crash, a power    nil error,          4
//	           failure and a cut by hand leave the same files                   Summary.Doubts
//	Changed    a record was changed, removed, inserted or moved, or the log     *ChainError         1
//	           does not have the record that a noted head names
//	NoRecords  a file is no audit file, or no file has a record                 *NoRecordsError     3
//
// A file that cannot be read has no verdict: Verify returns the error of the file, and steer exits with 1.
type Verdict uint8

// The verdicts.
const (
	Whole Verdict = iota
	InDoubt
	Changed
	NoRecords
)

// String returns the name of the verdict.
func (v Verdict) String() string {
	switch v {
	case Whole:
		return "whole"
	case InDoubt:
		return "in doubt"
	case Changed:
		return "changed"
	case NoRecords:
		return "no records"
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// A Doubt is a place where the chain is valid, but where Verify cannot decide whether records are missing, or whether
// the daemon has written them.
type Doubt struct {
	File string // the name of the file; empty: it has none
	Line int    // from 1; 0: the end of the file
	Seq  uint64 // the first record in doubt
	Text string // the doubt and its possible causes
}

// String returns the place and the text.
func (d Doubt) String() string {
	return fmt.Sprintf("%s: in doubt from record %d on: %s", place(d.File, d.Line, 0), d.Seq, d.Text)
}

// A ChainError is the first place at which the chain of a log is broken.
type ChainError struct {
	File string // the name of the file; empty: it has none
	Line int    // from 1; 0: the end of the file
	Seq  uint64 // the number of the record; 0: none
	Text string // the cause
}

// Error returns the place and the text.
func (p *ChainError) Error() string { return place(p.File, p.Line, p.Seq) + ": " + p.Text }

// place returns a place of a log in words.
func place(file string, line int, seq uint64) string {
	where := "at its end"
	if line > 0 {
		where = fmt.Sprintf("line %d", line)
	}
	if seq > 0 {
		where += fmt.Sprintf(" (record %d)", seq)
	}
	if file != "" {
		where = file + ": " + where
	}
	return where
}

// A NoRecordsError means that a file has no records to verify.
type NoRecordsError struct {
	File string // the name of the file; empty: it has none
	Text string // the kind of the file, or advice
}

// Error returns the file and the text.
func (e *NoRecordsError) Error() string {
	if e.File == "" {
		return "no records: " + e.Text
	}
	return e.File + ": no records: " + e.Text
}
