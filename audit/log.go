package audit

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// A Log is an open audit. It is a mgr.Recorder. Its methods may be called concurrently. Begin, End and Refused block
// until the entry is in the file, and on the disk where Options.Sync says so.
type Log struct {
	journal
	opts    atomic.Pointer[Options]
	schemas schemas
	unlock  func()
	close   sync.Once
}

// Options are the options of a Log. The zero value of each field but Path is the default, and the strictest choice.
type Options struct {
	// Path is the file. It is required, and its folder must exist. Beside it the log creates its head: a file of the
	// same name with ".head" after it. The head keeps its name when the log is renamed.
	//
	// No user but root, this process's user and TrustOwners may change the files, a folder above them or a link on
	// the way; a folder of root's in which a group may write, such as /var/log, is accepted. Files are made with mode
	// 0600; one with mode 0640, which its group can read, is accepted. The last component must not be a link.
	Path string

	// TrustOwners are ids of users that may own these paths, beside root and this process's user. It is for containers.
	TrustOwners []uint32

	// Arguments says whether entries have the text of arguments. They always have a digest.
	Arguments Arguments

	// OnFailure says whether commands that may change something run while no entry can be written.
	OnFailure Failure

	// Sync says which entries are synced to the disk before the caller gets the reply.
	Sync Sync

	// NoReads leaves out successful commands of the level read.
	NoReads bool

	// Logger gets a line when entries cannot be written, and when they can be written again. nil: slog.Default().
	Logger *slog.Logger
}

// Arguments says how arguments are recorded.
type Arguments uint8

// The ways to record arguments.
const (
	Digest Arguments = iota // their SHA-256
	Clear                   // also their text, up to 4 KiB, if the command has a schema and no part of it is secret
)

// A Failure says whether commands run while no entry can be written.
type Failure uint8

// The ways to deal with failure. Commands of the level read run with both.
const (
	Refuse   Failure = iota // refuse commands that may change something
	Continue                // run them, log the failure, and write afterwards how many entries are missing
)

// Sync says which entries are synced to the disk, so that they survive a power failure. All entries survive the end
// of the daemon.
type Sync uint8

// The ways to sync.
const (
	SyncWrites Sync = iota // entries of commands that may change something: before they run, and before the reply
	SyncNone               // no entries
	SyncAll                // all entries
)

// Open opens a log and writes an opened entry. It creates a log that does not exist, and continues one that exists.
// If another process has the log open, Open returns an error with its process id at once. If that process has called
// Closing, Open blocks until it has closed the log, for 10 s at most. The caller closes the Log.
func Open(o Options) (*Log, error) { return open(o, storageOf(o.rules())) }

func open(o Options, storage storage) (*Log, error) {
	if o.Path == "" {
		return nil, errors.New("the audit has no file; name one")
	}
	if o.Arguments > Clear || o.OnFailure > Continue || o.Sync > SyncAll {
		return nil, errors.New("the audit has an option that does not exist")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	l := &Log{}
	l.opts.Store(&o)
	l.journal = journal{path: o.Path, log: o.Logger, storage: storage, durable: o.Sync != SyncNone}
	l.changed.L = &l.mu
	if err := l.start(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return l, nil
}

// start locks the log, opens its files, finds the end of the chain, and writes the opened entry.
func (l *Log) start() (err error) {
	if l.head, err = l.storage.openHead(record.HeadFile(l.path)); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			l.release()
		}
	}()
	l.unlock, err = lock(l.path, l.opts.Load().rules(), func(pid int) {
		l.log.Warn("another daemon is closing the audit; waiting for it", "file", l.path, "pid", pid, "timeout", closeTimeout)
	})
	if err != nil {
		return err
	}
	l.setHolder(running)
	opened, err := l.resume()
	for range 10 { // the file can be renamed between opening and linking it
		if !errors.Is(err, errRenamed) {
			break
		}
		_ = l.file.Close()
		l.lines = nil
		opened, err = l.resume()
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addLocked(&opened, time.Now())
	if err := l.commitLocked(l.last.Seq, l.durable); err != nil && l.opts.Load().OnFailure == Refuse {
		return err
	}
	return nil
}

// setHolder writes this process as the holder to the head file.
func (l *Log) setHolder(state holderState) {
	h := holder{os.Getpid(), state}
	if _, err := l.head.WriteAt(h.append(nil), record.HeadSize); err != nil {
		l.log.Error("cannot write the process id to the head of the audit", "error", err)
	}
}

// Begin implements mgr.Recorder. It writes an intent for each call and sets its Record. It blocks until the intents
// are in the file, or on the disk unless Sync is SyncNone. With the option Refuse, an error means that the calls must
// not run; with Continue, the error is always nil.
func (l *Log) Begin(calls []*mgr.Call) error {
	b := batches.Get().(*batch)
	defer b.free()
	for _, call := range calls {
		l.fill(b.entry(), call, b)
	}
	err := l.begin(calls, b.entries)
	if err == nil || l.opts.Load().OnFailure == Continue {
		return nil
	}
	return fmt.Errorf("commands that change something are refused, since the audit cannot be written: %w; check the file %s", err, l.path)
}

func (l *Log) begin(calls []*mgr.Call, entries []record.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.refusals.needsSummary(now) {
		l.summarizeLocked(now)
	}
	last := uint64(0)
	for i := range entries {
		entries[i].Event = record.Intent
		l.waitForRoomLocked()
		if last = l.addLocked(&entries[i], now); last == 0 {
			return cmp.Or(l.writeErr, errClosed) // waitForRoomLocked has tried to write
		}
		calls[i].Record = last
	}
	return l.commitLocked(last, l.opts.Load().Sync != SyncNone)
}

// End implements mgr.Recorder. It writes an outcome for each call that has ended. It blocks until they are in the
// file, or writing has failed.
func (l *Log) End(ends []mgr.CallResult) {
	b := batches.Get().(*batch)
	defer b.free()
	sync := l.opts.Load().Sync == SyncAll
	for i := range ends {
		end := &ends[i]
		if l.opts.Load().NoReads && isSuccessfulRead(end) {
			continue
		}
		e := b.entry()
		l.fill(e, end.Call, b)
		e.Event, e.Intent, e.Result, e.Duration = record.Outcome, end.Record, end.Code, end.Duration
		if end.Record == 0 && (end.Code == wire.CodeUnauthenticated || end.Code == wire.CodeForbidden) {
			e.Event = record.Denied
		}
		sync = sync || end.Record != 0 && l.opts.Load().Sync == SyncWrites
	}
	l.record(b.entries, sync)
}

// isSuccessfulRead reports whether a command of the level read has succeeded.
func isSuccessfulRead(end *mgr.CallResult) bool {
	return end.Record == 0 && end.Command != nil && end.Command.Level == mgr.Read &&
		(end.Code == wire.CodeSuccess || end.Code == wire.CodeEmpty)
}

// Refused writes an entry for a connection that was refused, mostly for a failed login. It has the form of a
// transport's OnRefused, and blocks as End does.
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

// record adds entries, and blocks until they are written. Refusals above the limit are only counted.
func (l *Log) record(entries []record.Entry, sync bool) {
	if len(entries) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.refusals.needsSummary(now) {
		l.summarizeLocked(now)
	}
	last := uint64(0)
	for i := range entries {
		if e := &entries[i]; !isRefusal(e) || l.refusals.allow(now, e) {
			l.waitForRoomLocked()
			last = max(last, l.addLocked(e, now))
		}
	}
	_ = l.commitLocked(last, sync) // the error is logged, and Err returns it
}

// summarizeLocked adds an entry with the number of refusals that have none.
func (l *Log) summarizeLocked(now time.Time) {
	l.appendLocked(&record.Entry{Event: record.Suppressed, Count: l.refusals.suppressed}, now)
	l.refusals.suppressed = 0
}

// fill sets the members of an entry that are known at the beginning of a call.
func (l *Log) fill(e *record.Entry, call *mgr.Call, b *batch) {
	e.Principal = call.Peer.String()
	e.Transport, e.Session = call.Peer.Transport, call.Peer.Session
	if call.Via != nil {
		e.Listener = call.Via.Name
	}
	if call.Peer.Addr != nil {
		if e.Address = call.Peer.Addr.String(); e.Address == e.Listener {
			e.Address = "" // a UNIX socket: its peers have no address
		}
	}
	e.Command = call.Name
	if call.Command != nil {
		e.Access = call.Command.Level.String()
	}
	l.arguments(e, call, b)
}

// Closing writes to the head file that the log will be closed. The Open of another daemon then waits, instead of
// returning an error at once. A daemon calls it when its drain begins. The log can be used until Close.
func (l *Log) Closing() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.setHolder(closing)
	}
}

// Set replaces the options for the following calls. Path, TrustOwners and Logger stay as they are. If a value does not
// exist, all options but NoReads get their defaults.
func (l *Log) Set(o Options) {
	if o.Arguments > Clear || o.OnFailure > Continue || o.Sync > SyncAll {
		o = Options{NoReads: o.NoReads}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.opts.Load()
	o.Path, o.TrustOwners, o.Logger = before.Path, before.TrustOwners, before.Logger
	l.opts.Store(&o)
	l.durable = o.Sync != SyncNone
}

// Err returns the error of the last write and the last sync, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.writeErr, l.syncErr)
}

// Reopen writes all buffered entries to the old file, and opens the file that has the name now. A log does that by
// itself with its first entry more than a second after a rename. A program that rotates the log calls Reopen, to be
// sure that the old file is complete. It blocks until both is done.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nameChecked = time.Time{}
	for l.writing {
		l.changed.Wait()
	}
	return l.writeLocked()
}

// Close writes a closed entry and closes the log. It returns the error of that write. Entries after Close are lost. A
// second call does nothing.
func (l *Log) Close() (err error) {
	l.close.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		now := time.Now()
		if l.refusals.suppressed > 0 {
			l.summarizeLocked(now)
		}
		l.addLocked(&record.Entry{Event: record.Closed}, now)
		for err = l.commitLocked(l.last.Seq, l.durable); err == nil && len(l.lines) > 0; { // a sync can add a gap entry
			err = l.commitLocked(l.last.Seq, l.durable)
		}
		for l.writing || l.syncing {
			l.changed.Wait()
		}
		l.closed = true
		l.setHolder(closed)
		l.release()
	})
	return err
}

func (l *Log) release() {
	if l.file != nil {
		_ = l.file.Close()
	}
	_ = l.head.Close()
	if l.unlock != nil {
		l.unlock()
	}
}

// A batch has entries that are written together. Batches are reused, so that a call allocates nothing.
type batch struct {
	entries []record.Entry
	text    []byte // the text of arguments
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// entry adds an empty entry.
func (b *batch) entry() *record.Entry {
	b.entries = append(b.entries, record.Entry{})
	return &b.entries[len(b.entries)-1]
}

func (b *batch) free() {
	if cap(b.entries) > 256 || cap(b.text) > 64<<10 {
		return // unusually large; the garbage collector frees it
	}
	clear(b.entries)
	b.entries = b.entries[:0]
	b.text = b.text[:0]
	batches.Put(b)
}
