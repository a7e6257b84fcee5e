package audit

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// Begin records that calls are about to run, and returns when that is in the file. It sets their
// Record. With Refuse, the error says why they must not run.
func (l *Log) Begin(calls []*mgr.Call) error {
	b := batches.Get().(*batch)
	defer b.free()
	for _, call := range calls {
		l.describe(b.entry(), call, b)
	}
	err := l.begin(calls, b.entries)
	if err == nil || l.opts.Load().OnFailure == Continue {
		return nil
	}
	return fmt.Errorf("what changes something is refused, since it cannot be recorded: %w; see to the audit's file, %s", err, l.path)
}

func (l *Log) begin(calls []*mgr.Call, entries []record.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.flood.over(now) {
		l.summarize(now)
	}
	last := uint64(0)
	for i := range entries {
		entries[i].Event = record.Intent
		l.makeRoom()
		if last = l.add(&entries[i], now); last == 0 {
			return cmp.Or(l.writeErr, errClosed) // makeRoom has tried
		}
		calls[i].Record = last
	}
	return l.commit(last, l.opts.Load().Sync != SyncNone)
}

// End records how calls have ended, and returns when that is in the file, or cannot be.
func (l *Log) End(ends []mgr.CallResult) {
	b := batches.Get().(*batch)
	defer b.free()
	sync := l.opts.Load().Sync == SyncAll
	for i := range ends {
		end := &ends[i]
		if l.opts.Load().NoReads && looked(end) {
			continue
		}
		e := b.entry()
		l.describe(e, end.Call, b)
		e.Event, e.Intent, e.Result, e.Duration = record.Outcome, end.Record, end.Code, end.Duration
		if end.Record == 0 && (end.Code == wire.CodeUnauthenticated || end.Code == wire.CodeForbidden) {
			e.Event = record.Denied
		}
		sync = sync || end.Record != 0 && l.opts.Load().Sync == SyncWrites
	}
	l.record(b.entries, sync)
}

// looked reports whether a call only looked, and succeeded.
func looked(end *mgr.CallResult) bool {
	return end.Record == 0 && end.Command != nil && end.Command.Level == mgr.Read &&
		(end.Code == wire.CodeSuccess || end.Code == wire.CodeEmpty)
}

// Refused records a handshake that did not become a conn: a failed login, for the most part.
func (l *Log) Refused(r transport.Refusal) {
	e := record.Entry{Event: record.LoginRefused, Transport: r.Transport, Claim: r.Claim.User}
	if r.Claim.Token != "" {
		e.Claim = "a token"
	}
	if r.Addr != nil {
		e.Address = r.Addr.String()
	}
	if r.Err != nil {
		e.Text = r.Err.Error()
	}
	l.record([]record.Entry{e}, l.opts.Load().Sync == SyncAll)
}

// record adds entries, and waits until they are written. Refusals beyond a number are only counted.
func (l *Log) record(entries []record.Entry, sync bool) {
	if len(entries) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.flood.over(now) {
		l.summarize(now)
	}
	last := uint64(0)
	for i := range entries {
		if e := &entries[i]; !strange(e) || l.flood.lets(now, e) {
			l.makeRoom()
			last = max(last, l.add(e, now))
		}
	}
	_ = l.commit(last, sync) // it is logged, and Err says so
}

// summarize records how many refusals had no record of their own.
func (l *Log) summarize(now time.Time) {
	l.put(&record.Entry{Event: record.Suppressed, Count: l.flood.counted}, now)
	l.flood.counted = 0
}

// describe tells of a call what there is to tell from its beginning.
func (l *Log) describe(e *record.Entry, call *mgr.Call, b *batch) {
	e.Principal = call.Peer.String()
	e.Transport, e.Session = call.Peer.Transport, call.Peer.Session
	if call.Via != nil {
		e.Listener = call.Via.Name
	}
	if call.Peer.Addr != nil {
		if e.Address = call.Peer.Addr.String(); e.Address == e.Listener {
			e.Address = "" // a UNIX socket: its peers have none of their own
		}
	}
	e.Command = call.Name
	if call.Command != nil {
		e.Access = call.Command.Level.String()
	}
	l.arguments(e, call, b)
}

// A batch is entries that are recorded together. It is used again, so that a call costs no memory.
type batch struct {
	entries []record.Entry
	text    []byte // the arguments in clear
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// entry adds an empty entry.
func (b *batch) entry() *record.Entry {
	b.entries = append(b.entries, record.Entry{})
	return &b.entries[len(b.entries)-1]
}

func (b *batch) free() {
	if cap(b.entries) > 256 || cap(b.text) > 64<<10 {
		return // longer than most, and not worth keeping
	}
	clear(b.entries)
	b.entries = b.entries[:0]
	b.text = b.text[:0]
	batches.Put(b)
}
