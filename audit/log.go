package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"
)

// A Log is an open record of who did what. It is a mgr.Recorder. Any number of goroutines may use it.
type Log struct {
	journal
	opts    atomic.Pointer[Options]
	schemas schemas
	unlock  func()
	close   sync.Once
}

// Options say what a Log records, and how surely. Every zero field but Path is a default, the strictest.
type Options struct {
	// Path is the file. Its directory must be there. Beside it is made a file that says where it ends,
	// with ".head" behind the name, which stays where it is when the log is renamed.
	//
	// No user but root, this process's user and TrustOwners may change the files, a folder above them or a link on
	// the way; a folder of root's in which a group may write, such as /var/log, is accepted. Files are made with mode
	// 0600; one with mode 0640, which its group can read, is accepted. The last component must not be a link.
	Path string

	// TrustOwners are ids of users that may own these paths, beside root and this process's user. It is for containers.
	TrustOwners []uint32

	// Arguments says whether arguments are kept in clear. A digest is kept always.
	Arguments Arguments

	// OnFailure says what becomes of commands that may change something while nothing can be recorded.
	OnFailure Failure

	// Sync says which records are on the disk, and not only with the kernel, before anybody is answered.
	Sync Sync

	// NoReads leaves out commands that only look, and succeed.
	NoReads bool

	// Logger is told when records cannot be written, and when they can again. nil: slog.Default().
	Logger *slog.Logger
}

// Arguments says how arguments are recorded.
type Arguments uint8

// The ways to record arguments.
const (
	Digest Arguments = iota // their SHA-256
	Clear                   // as they are too, up to 4 KiB, where the command describes them and nothing in them is secret
)

// A Failure says what becomes of commands while nothing can be recorded.
type Failure uint8

// The ways to deal with failure. What only looks goes on in each.
const (
	Refuse   Failure = iota // refuse what may change something
	Continue                // go on, log it, and record afterwards how many records are missing
)

// Sync says what is brought to the disk, where it outlives a power cut. All records outlive the daemon.
type Sync uint8

// The ways to sync.
const (
	SyncWrites Sync = iota // what may change something: before it runs, and before it is answered
	SyncNone               // nothing
	SyncAll                // everything
)

// Open opens a log, which it makes where there is none, and records that it did. One that is there goes
// on where it ends. While another process has it open, Open returns an error with the number of that process,
// at once. When that process has called Closing, Open waits for it, for 10 s.
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
	l.turn.L = &l.mu
	if err := l.start(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return l, nil
}

// start opens the files, finds where the chain ends, and records that it goes on.
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
	for range 10 { // a rotation can come between opening the file and naming it
		if !errors.Is(err, errNameTaken) {
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
	l.add(&opened, time.Now())
	if err := l.commit(l.last.Seq, l.durable); err != nil && l.opts.Load().OnFailure == Refuse {
		return err
	}
	return nil
}

// setHolder writes down what this process does with the log.
func (l *Log) setHolder(state holderState) {
	h := holder{os.Getpid(), state}
	if _, err := l.head.WriteAt(h.append(nil), record.HeadSize); err != nil {
		l.log.Error("cannot note which process writes the audit", "error", err)
	}
}

// Closing notes that the log will be closed, so that another daemon which opens it waits for that, and does not
// return an error at once. A daemon calls it when its drain begins. The log is used on as before.
func (l *Log) Closing() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.setHolder(closing)
	}
}

// Set changes how the log records, from now on. Path, TrustOwners and Logger stay as they are; an option that does not
// exist is taken for the default.
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

// Err says why records cannot be written now; nil: they can.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.writeErr, l.syncErr)
}

// Reopen writes all there is to the old file, and opens the one that has the name now. That happens by
// itself within a second of a rename; who wants to be sure that nobody writes to the old file any more,
// calls Reopen.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looked = time.Time{}
	for l.writing {
		l.turn.Wait()
	}
	return l.write()
}

// Close records that the log ends, and closes it. What is recorded afterwards is lost.
func (l *Log) Close() (err error) {
	l.close.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		now := time.Now()
		if l.flood.counted > 0 {
			l.summarize(now)
		}
		l.add(&record.Entry{Event: record.Closed}, now)
		for err = l.commit(l.last.Seq, l.durable); err == nil && len(l.lines) > 0; { // what a sync has to say
			err = l.commit(l.last.Seq, l.durable)
		}
		for l.writing || l.syncing {
			l.turn.Wait()
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
