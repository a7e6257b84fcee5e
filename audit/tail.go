package audit

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"sort"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"golang.org/x/sys/unix"
)

// Commands returns audit-tail, with which the log is read through the channel.
func (l *Log) Commands() []mgr.Command { return Commands(func() *Log { return l }) }

// Commands returns audit-tail for the log that current returns; where it returns nil, nothing is recorded,
// and the command says so.
func Commands(current func() *Log) []mgr.Command {
	return []mgr.Command{
		mgr.Async("audit-tail", "Return the last records of who did what, the oldest first.", mgr.Admin,
			func(ctx context.Context, q tailQuery) (tailAnswer, error) {
				if l := current(); l != nil {
					return l.tail(ctx, q)
				}
				return tailAnswer{}, wire.Errorf(wire.CodeEmpty, "", "nothing is recorded; the daemon keeps no audit")
			},
			mgr.Example(`{}`), mgr.Example(`{"count":10,"principal":"user:ann"}`)),
	}
}

// A tailQuery says which records are wanted.
type tailQuery struct {
	Count     int    `json:"count,omitzero" doc:"How many records, at most; 100 unless given." schema:"min=1,max=1000"`
	Before    uint64 `json:"before,omitzero" doc:"Only records with a lower number than this."`
	Principal string `json:"principal,omitzero" doc:"Only records of exactly this principal."`
	Command   string `json:"command,omitzero" doc:"Only records of exactly this command."`
}

// A tailAnswer is records, and how to ask for older ones.
type tailAnswer struct {
	Entries []wire.Raw `json:"entries" doc:"The records, as they stand in the file."`
	Before  uint64     `json:"before,omitzero" doc:"Give this to have older records. It is missing where the file begins."`
}

// maxTailRead is how much of the file one audit-tail looks through, and maxTailAnswer how much it
// returns, in bytes.
const (
	maxTailRead   = 8 << 20
	maxTailAnswer = 1 << 20
)

// tail reads the file from its end. It runs beside the loop, and beside those who write.
func (l *Log) tail(ctx context.Context, q tailQuery) (tailAnswer, error) {
	if q.Count == 0 {
		q.Count = 100
	}
	f, err := os.OpenFile(l.path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return tailAnswer{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return tailAnswer{}, err
	}
	return q.read(ctx, f, info)
}

func (q *tailQuery) read(ctx context.Context, f *os.File, info fs.FileInfo) (tailAnswer, error) {
	answer := tailAnswer{Entries: []wire.Raw{}}
	end, err := q.end(f, info.Size())
	read, returned, more := 0, 0, false
	for text, failed := range record.Backward(f, end) {
		if err = failed; err != nil {
			break
		}
		read += len(text) + 1
		e, err := record.Parse(text)
		if err != nil { // half written just now, or left so by a crash
			continue
		}
		if more = len(answer.Entries) == q.Count || returned > maxTailAnswer || read > maxTailRead || ctx.Err() != nil; more {
			break
		}
		answer.Before = e.Seq
		if !q.wants(&e) {
			continue
		}
		raw, err := wire.ParseRaw(text)
		if err != nil {
			return answer, err
		}
		answer.Entries = append(answer.Entries, raw)
		returned += len(text)
	}
	if !more {
		answer.Before = 0
	}
	slices.Reverse(answer.Entries)
	return answer, errors.Join(err, context.Cause(ctx))
}

func (q *tailQuery) wants(e *record.Entry) bool {
	return (q.Before == 0 || e.Seq < q.Before) &&
		(q.Principal == "" || e.Principal == q.Principal) && (q.Command == "" || e.Command == q.Command)
}

// end returns a place in the file behind all records that come before q.Before, and not far behind.
// It finds it by halves, since numbers grow.
func (q *tailQuery) end(f io.ReaderAt, size int64) (int64, error) {
	if q.Before == 0 {
		return size, nil
	}
	const step = 1 << 20
	var failed error
	blocks := int(size / step)
	n := sort.Search(blocks, func(n int) bool {
		r := bufio.NewReader(io.NewSectionReader(f, int64(n)*step, size-int64(n)*step))
		for {
			text, err := r.ReadSlice('\n') // the first one is half a line, as a rule
			if err == nil {
				if e, err := record.Parse(text[:len(text)-1]); err == nil {
					return e.Seq >= q.Before
				}
			} else if !errors.Is(err, bufio.ErrBufferFull) {
				failed = err
				return true // nothing behind it
			}
		}
	})
	if errors.Is(failed, io.EOF) {
		failed = nil
	}
	return min(int64(n)*step+step, size), failed
}
