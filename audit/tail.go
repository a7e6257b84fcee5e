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

// Commands returns the command audit-tail, which returns the last entries of the log. Its level is admin. It runs off
// the loop.
func (l *Log) Commands() []mgr.Command { return Commands(func() *Log { return l }) }

// Commands returns the command audit-tail for the log that current returns at each call. If current returns nil, the
// command replies that there is no audit. current may be called concurrently.
func Commands(current func() *Log) []mgr.Command {
	return []mgr.Command{
		mgr.Async("audit-tail", "Return the last records of the audit, the oldest first.", mgr.Admin,
			func(ctx context.Context, q tailQuery) (tailReply, error) {
				if l := current(); l != nil {
					return l.tail(ctx, q)
				}
				return tailReply{}, wire.Errorf(wire.CodeEmpty, "", "this daemon has no audit")
			},
			mgr.Example(`{}`), mgr.Example(`{"count":10,"principal":"user:ann"}`)),
	}
}

// A tailQuery has the arguments of audit-tail.
type tailQuery struct {
	Count     int    `json:"count,omitzero" doc:"The highest number of records; default 100." schema:"min=1,max=1000"`
	Before    uint64 `json:"before,omitzero" doc:"Only records with a lower number than this."`
	Principal string `json:"principal,omitzero" doc:"Only records of exactly this principal."`
	Command   string `json:"command,omitzero" doc:"Only records of exactly this command."`
}

// A tailReply has the records, and the argument for the next older ones.
type tailReply struct {
	Entries []wire.Raw `json:"entries" doc:"The records, as they are in the file."`
	Before  uint64     `json:"before,omitzero" doc:"The value of before for the next older records; missing: the file has none."`
}

// The bounds of one audit-tail in bytes: what it reads from the file, and what it returns.
const (
	maxTailRead  = 8 << 20
	maxTailReply = 1 << 20
)

// tail reads the file from its end. It runs concurrently with the loop and with writers.
func (l *Log) tail(ctx context.Context, q tailQuery) (tailReply, error) {
	if q.Count == 0 {
		q.Count = 100
	}
	f, err := os.OpenFile(l.path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return tailReply{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return tailReply{}, err
	}
	return q.read(ctx, f, info)
}

func (q *tailQuery) read(ctx context.Context, f *os.File, info fs.FileInfo) (tailReply, error) {
	reply := tailReply{Entries: []wire.Raw{}}
	end, err := q.end(f, info.Size())
	read, returned, more := 0, 0, false
	for text, failed := range record.Backward(f, end) {
		if err = failed; err != nil {
			break
		}
		read += len(text) + 1
		e, err := record.Parse(text)
		if err != nil { // it is being written, or a crash has left a part of it
			continue
		}
		if more = len(reply.Entries) == q.Count || returned > maxTailReply || read > maxTailRead || ctx.Err() != nil; more {
			break
		}
		reply.Before = e.Seq
		if !q.wants(&e) {
			continue
		}
		raw, err := wire.ParseRaw(text)
		if err != nil {
			return reply, err
		}
		reply.Entries = append(reply.Entries, raw)
		returned += len(text)
	}
	if !more {
		reply.Before = 0
	}
	slices.Reverse(reply.Entries)
	return reply, errors.Join(err, context.Cause(ctx))
}

func (q *tailQuery) wants(e *record.Entry) bool {
	return (q.Before == 0 || e.Seq < q.Before) &&
		(q.Principal == "" || e.Principal == q.Principal) && (q.Command == "" || e.Command == q.Command)
}

// end returns an offset after all records before q.Before, by a binary search over blocks of 1 MiB. So at most about
// 1 MiB more is read.
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
			text, err := r.ReadSlice('\n') // the first one is mostly a part of a line
			if err == nil {
				if e, err := record.Parse(text[:len(text)-1]); err == nil {
					return e.Seq >= q.Before
				}
			} else if !errors.Is(err, bufio.ErrBufferFull) {
				failed = err
				return true // no record follows
			}
		}
	})
	if errors.Is(failed, io.EOF) {
		failed = nil
	}
	return min(int64(n)*step+step, size), failed
}
