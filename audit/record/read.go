package record

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// A LineError says which line is no record, and why.
type LineError struct {
	Line int // from 1
	Err  error
}

// Error names the line.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns why.
func (e *LineError) Unwrap() error { return e.Err }

// errUnfinished is what is wrong with a last line that has no newline.
var errUnfinished = errors.New("it is not finished")

// errEndless ends the reading of a file in which a line does not end within maxTail. What is compressed can be
// without end.
var errEndless = fmt.Errorf("a line is longer than %d bytes", maxTail)

// Read returns the records that r holds. For a line that is none it returns a *LineError, and goes on;
// any other error is r's, and the last.
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

// lines returns the lines that r holds, without newlines, each valid until the next. The last one may
// come with errUnfinished. Of a line that is longer than MaxLine, only the beginning comes; errEndless ends all.
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

// Backward returns the lines of a file of a known size from its end, without newlines, each valid until
// the next. The first is what stands behind the last newline, and mostly empty. It reads no more than it
// is asked for.
func Backward(r io.ReaderAt, size int64) iter.Seq2[[]byte, error] {
	const block = 64 << 10
	return func(yield func([]byte, error) bool) {
		var held []byte // what of the line before has been read
		for pos := size; pos > 0; {
			n := min(pos, block)
			pos -= n
			text := make([]byte, n, int(n)+len(held))
			if _, err := r.ReadAt(text, pos); err != nil {
				yield(nil, err)
				return
			}
			text = append(text, held...)
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
			if held = text; len(held) > maxTail {
				yield(nil, fmt.Errorf("a line is longer than %d bytes", maxTail))
				return
			}
		}
		yield(held, nil)
	}
}

// maxTail is how much may stand between two records, in bytes.
const maxTail = 1 << 20
