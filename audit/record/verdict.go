package record

import "fmt"

// A Verdict is the result of checking a log.
//
//	verdict    when                                                             returned as         exit status of steer audit verify
//	Whole      each record belongs behind the record before it, and the log     nil error,          0
//	           goes at least as far as its head                                 no Doubts
//	InDoubt    the chain holds, but at the places in Doubts a crash, a power    nil error,          4
//	           cut and a cut by hand leave the same files                       Summary.Doubts
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

// A Doubt is a place where the chain holds, but where Verify cannot tell whether records are missing, or
// whether records are those that the daemon wrote.
type Doubt struct {
	File string // its name, where it has one
	Line int    // from 1; 0: the end of the file
	Seq  uint64 // the first record in doubt
	Text string // what is in doubt, and what can have caused it
}

// String names the place and the cause.
func (d Doubt) String() string {
	return fmt.Sprintf("%s: in doubt from record %d on: %s", place(d.File, d.Line, 0), d.Seq, d.Text)
}

// A ChainError is the first place at which a log does not fit.
type ChainError struct {
	File string // its name, where it has one
	Line int    // from 1; 0: the end of the file
	Seq  uint64 // the record's number, where it has one
	Text string // what is wrong
}

// Error names the place.
func (p *ChainError) Error() string { return place(p.File, p.Line, p.Seq) + ": " + p.Text }

// place names a place in a log.
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

// A NoRecordsError says that there is nothing to verify.
type NoRecordsError struct {
	File string // its name, where it has one
	Text string // what the file is instead, or what to do
}

// Error names the file.
func (e *NoRecordsError) Error() string {
	if e.File == "" {
		return "no records: " + e.Text
	}
	return e.File + ": no records: " + e.Text
}
