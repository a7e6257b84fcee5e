package mgr

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/internal/loglimit"
	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/wire"
)

// CommandMgr knows a daemon's commands, and lets peers give them. It is a value: a process may have
// many. All methods may be called from any goroutine, except where they say otherwise.
type CommandMgr struct {
	opts   Options // but for its Limits
	limits atomic.Pointer[Limits]
	log    *slog.Logger
	loop   loop.Poster
	own    *loop.Loop // loop, if it is the manager's own

	queue    queue
	slow     slowLog
	senders  senders
	talkers  talkers
	buffered atomic.Int64 // bytes that peers make the daemon hold
	long     longBuffers
	refused  atomic.Int64     // conns
	refusals loglimit.Limiter // of the log lines that a peer can cause without a right

	background context.Context         // never ends
	receiving  context.Context         // ends when the drain begins: nobody is listened to any more
	deafen     context.CancelCauseFunc // ends it
	done       chan struct{}           // closed when everything is drained

	table   atomic.Pointer[table]
	unknown *registered // stands for commands that do not exist

	mu        sync.Mutex
	commands  commandSet
	listeners map[*Listener]struct{}
	speaking  map[*conversation]struct{}
	peers     map[string]*peer
	sweepAt   int // how many of them bring forgetIdle about
	reserved  int // conns that have a descriptor of the reserve
	calls     int // of Process, in flight, and what else a drain waits for
	banned    ban
	asking    bool // somebody will ask which credentials are still good
	quiet     sync.Cond
	drained   sync.Once

	commandsVersion int // how often commands has been replaced
}

// New returns a manager with the built-in commands: list-commands, describe-command, whoami and
// cancel. It uses no goroutine until something is opened. o may be nil.
func New(o *Options) *CommandMgr {
	m := &CommandMgr{
		opts:       o.withDefaults(),
		background: context.Background(),
		done:       make(chan struct{}),
		listeners:  map[*Listener]struct{}{},
		speaking:   map[*conversation]struct{}{},
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
	m.receiving, m.deafen = context.WithCancelCause(context.Background())
	m.quiet.L = &m.mu
	m.senders.wake.L = &m.senders.mu
	m.talkers.next = make(chan *conversation)
	m.slow.log, m.slow.limits, m.slow.epoch = m.log, &m.limits, time.Now()
	m.long.m = m
	m.queue.most = m.limits.Load().MaxQueued
	m.queue.turn = m.turn
	m.unknown = &registered{Command: Command{Handler: func(_ context.Context, call *Call) (wire.Reply, error) {
		return wire.Reply{}, unsupported(call.Name)
	}}}
	m.unknown.handler.Store(m.commands.wrapped(m.unknown))
	m.table.Store(&table{})
	m.registerBuiltin()
	return m
}
