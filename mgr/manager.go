package mgr

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/internal/loglimit"
	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/wire"
)

// A CommandMgr is a command manager: it has the commands of a daemon, its listeners, and their open conns. New makes one. A
// process may have several. All methods may be called from any goroutine, except where their comments restrict it.
type CommandMgr struct {
	opts   Options // without its Limits, which are in limits
	limits atomic.Pointer[Limits]
	log    *slog.Logger
	loop   loop.Poster
	own    *loop.Loop // the same as loop, if Options.Loop is nil

	queue    queue
	slow     slowLog
	readers  pool[*conn] // serve conns
	writers  pool[*conn] // write the replies that no reader writes
	workers  sync.Pool   // one for each manager: the timers of a worker must not leave the synctest bubble of their test
	parking  parking
	buffered atomic.Int64 // bytes that are held for all peers together
	long     longBuffers
	refused  atomic.Int64     // number of refused conns
	refusals loglimit.Limiter // of the log lines that a peer without any right can cause

	background  context.Context         // never ends
	readCtx     context.Context         // ends when the drain begins: the manager reads no more requests
	stopReading context.CancelCauseFunc // ends readCtx
	done        chan struct{}           // closed when the drain is complete

	table   atomic.Pointer[table]
	unknown *registered // the handler for names that no command has

	mu                 sync.Mutex
	commands           commandSet
	listeners          map[*Listener]struct{}
	conns              map[*conn]struct{}
	peers              map[string]*peer
	sweepAt            int // the number of peers at which newPeerLocked calls forgetIdleLocked
	reserved           int // conns that have a descriptor of the reserve
	calls              int // calls of Process in flight, and goroutines that the drain waits for
	closedSessions     sessionList
	revocationTimerSet bool      // a timer will check which credentials are revoked
	progress           sync.Cond // a conn was removed, or a call of Process has ended: a drain waits for it
	drained            sync.Once

	commandsVersion int // the number of times that commands was replaced

	onTransition       func(c *conn, from readState, t transition)    // for tests: called for each transition, with c.mu held; nil otherwise
	onWriterTransition func(c *conn, from writer, t writerTransition) // the same for the writer
}

// New returns a manager with the built-in commands: list-commands, describe-command, whoami and cancel. It starts no
// goroutine; the first Open does. o may be nil; a nil *Options and each zero field mean the defaults. New copies *o.
func New(o *Options) *CommandMgr {
	m := &CommandMgr{
		opts:       o.withDefaults(),
		background: context.Background(),
		done:       make(chan struct{}),
		listeners:  map[*Listener]struct{}{},
		conns:      map[*conn]struct{}{},
		peers:      map[string]*peer{},
		sweepAt:    firstSweep,
	}
	m.limits.Store(&m.opts.Limits)
	m.log = m.opts.Logger
	m.refusals.Report = func(peer string, lines int) {
		m.log.Warn("lines about refusals were left out", "peer", peer, "lines", lines)
	}
	m.loop = m.opts.Loop
	if m.loop == nil {
		m.own = loop.New()
		m.loop = m.own
	}
	m.readCtx, m.stopReading = context.WithCancelCause(context.Background())
	m.progress.L = &m.mu
	m.readers.init(maxIdleReaders, (*conn).serve)
	m.writers.init(2*runtime.GOMAXPROCS(0), (*conn).writeFromPool)
	m.workers.New = func() any { return new(worker) }
	m.slow.log, m.slow.limits, m.slow.epoch = m.log, &m.limits, time.Now()
	m.long.m = m
	m.queue.limit = m.limits.Load().MaxQueued
	m.queue.run = m.runQueue
	m.unknown = &registered{Command: Command{Handler: func(_ context.Context, call *Call) (wire.Reply, error) {
		return wire.Reply{}, unsupported(call.Name)
	}}}
	m.unknown.handler.Store(m.commands.wrapped(m.unknown))
	m.table.Store(&table{})
	m.registerBuiltin()
	return m
}
