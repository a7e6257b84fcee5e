package record

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// A LineError means that a line is no record.
type LineError struct {
	Line int // from 1
	Err  error
}

// Error returns the line and the cause.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

// errUnfinished is the error of a last line without a newline.
var errUnfinished = errors.New("it is not finished")

// errEndless ends the reading of a file with a line longer than maxTail. A small compressed file can have an endless
// line.
var errEndless = fmt.Errorf("a line is longer than %d bytes", maxTail)

// Read returns the records of r. For a line that is no record it yields a *LineError and continues. Any other error
// is that of r, and ends the iteration.
func Read(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		number := 0
		for text, err := range lines(r) {
			if number++; err != nil && !errors.Is(err, errUnfinished) {
				yield(Entry{}, err)
				return
			}
			var e Entry
			if err == nil {
				e, err = Parse(text)
			}
			if err != nil {
				err = &LineError{number, err}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// lines returns the lines of r without newlines. A line is valid until the next one. The last one may have
// errUnfinished. Of a line that is longer than MaxLine, only the beginning is returned. errEndless ends the
// iteration.
func lines(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		b := bufio.NewReaderSize(r, MaxLine+2)
		for {
			text, err := b.ReadSlice('\n')
			long := errors.Is(err, bufio.ErrBufferFull)
			switch {
			case long, err == nil:
				if !yield(bytes.TrimSuffix(text, newline), nil) {
					return
				}
			case errors.Is(err, io.EOF):
				if len(text) > 0 {
					yield(text, errUnfinished)
				}
				return
			default:
				yield(nil, err)
				return
			}
			for n := len(text); long; {
				if n > maxTail {
					yield(nil, errEndless)
					return
				}
				text, err = b.ReadSlice('\n')
				n += len(text)
				long = errors.Is(err, bufio.ErrBufferFull)
			}
		}
	}
}

var newline = []byte("\n")

// Backward returns the lines of a file from its end, without newlines. A line is valid until the next one. The first
// one is the text after the last newline, which is mostly empty. Backward reads the file in blocks of 64 KiB, and
// only as far as the caller iterates.
func Backward(r io.ReaderAt, size int64) iter.Seq2[[]byte, error] {
	const block = 64 << 10
	return func(yield func([]byte, error) bool) {
		var rest []byte // the part of the line before that was read
		for pos := size; pos > 0; {
			n := min(pos, block)
			pos -= n
			text := make([]byte, n, int(n)+len(rest))
			if _, err := r.ReadAt(text, pos); err != nil {
				yield(nil, err)
				return
			}
			text = append(text, rest...)
			for {
				i := bytes.LastIndexByte(text, '\n')
				if i < 0 {
					break
				}
				if !yield(text[i+1:], nil) {
					return
				}
				text = text[:i]
			}
			if rest = text; len(rest) > maxTail {
				yield(nil, fmt.Errorf("a line is longer than %d bytes", maxTail))
				return
			}
		}
		yield(rest, nil)
	}
}

// maxTail is the largest number of bytes between two records.
const maxTail = 1 << 20
