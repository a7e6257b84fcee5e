package hooks

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"
)

// A child is a hook that is a process: one life after the other, with pauses between them.
type child struct {
	cfg     Config
	manager *mgr.CommandMgr
	log     *slog.Logger
	start   starter
	patient time.Duration // for an introduction
	grace   time.Duration // for an end

	intro    introduction
	ctx      context.Context // ends when it is to stop
	stop     context.CancelFunc
	hurry    context.Context // set by unload, before it ends ctx
	wake     chan struct{}   // somebody wants it started again now
	finished chan struct{}   // closed when it has stopped

	mu       sync.Mutex
	life     *life // nil: between two
	state    string
	since    time.Time
	failures int // in a row
	restarts int
	lastErr  error
	retryAt  time.Time
}

func (s *Set) loadProcess(ctx context.Context, cfg Config) (*entry, error) {
	c := &child{
		cfg: cfg, manager: s.Manager, log: s.Logger.With("hook", cfg.Name), start: s.start,
		patient: s.StartTimeout, grace: s.StopTimeout,
		wake: make(chan struct{}, 1), finished: make(chan struct{}),
	}
	l, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	c.intro = l.intro
	commands, err := c.intro.commands(cfg.Name, c.handler)
	if err != nil {
		l.end(err)
		l.wait()
		return nil, err
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.enter("running", l)
	go c.supervise(l)
	return &entry{cfg: cfg, commands: commands, hook: c}, nil
}

// supervise starts the process again when it has ended, until it is told to stop.
func (c *child) supervise(l *life) {
	defer close(c.finished)
	for {
		select {
		case <-l.ended:
		case <-c.ctx.Done():
			l.finish(c.hurry)
			return
		}
		l.wait()
		if l = c.again(l.err, l.age()); l == nil {
			<-c.ctx.Done()
			return
		}
	}
}

// again tries to start a new life until one begins. nil: it is to stop, or there is no sense in trying.
func (c *child) again(err error, lived time.Duration) *life {
	if lived >= wellAfter {
		c.mu.Lock()
		c.failures = 0
		c.mu.Unlock()
	}
	for c.ctx.Err() == nil {
		pause := time.NewTimer(c.failed(err))
		select {
		case <-pause.C:
		case <-c.wake:
		case <-c.ctx.Done():
		}
		pause.Stop()
		if c.ctx.Err() != nil {
			return nil
		}
		ctx, stop := context.WithTimeoutCause(c.ctx, c.patient, errSilent)
		var l *life
		l, err = c.begin(ctx)
		stop()
		switch {
		case err != nil:
		case !reflect.DeepEqual(l.intro, c.intro):
			l.end(errChanged)
			l.wait()
			c.fail(errChanged)
			return nil
		default:
			c.log.Info("a hook has been started again", "pid", l.proc.Pid())
			c.enter("running", l)
			return l
		}
	}
	return nil
}

var (
	errSilent  = errors.New("it did not introduce itself in time")
	errChanged = errors.New("it introduced itself as something else than before; load the configuration again")
)

// begin starts the process, and waits until it has introduced itself.
func (c *child) begin(ctx context.Context) (*life, error) {
	proc, err := c.start(&c.cfg, func(line string) { c.log.Warn("a hook wrote to stderr", "line", line) })
	if err != nil {
		return nil, err
	}
	l := live(c, proc)
	err = l.greet(ctx)
	if err != nil {
		l.end(err)
		l.wait()
		return nil, err
	}
	return l, nil
}

// enter says in what state the hook is from now on. l is nil between two lives.
func (c *child) enter(state string, l *life) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l != nil && c.state != "" {
		c.restarts++
	}
	select {
	case <-c.wake: // it was for this
	default:
	}
	c.life, c.state, c.since, c.retryAt = l, state, time.Now(), time.Time{}
}

// failed notes a failure, and says how long to wait.
func (c *child) failed(err error) (pause time.Duration) {
	failures, pause := c.noteFailure(err)
	c.log.Error("a hook has ended", "error", err, "failures", failures, "pause", pause)
	return pause
}

func (c *child) noteFailure(err error) (failures int, pause time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures++
	pause = backOff(c.failures)
	state := "restarting"
	if c.failures >= breakAfter {
		state = "broken"
	}
	if state != c.state {
		c.since = time.Now()
	}
	c.life, c.state, c.lastErr, c.retryAt = nil, state, err, time.Now().Add(pause)
	return c.failures, pause
}

// fail notes that there will be no other life.
func (c *child) fail(err error) {
	c.log.Error("a hook has failed", "error", err)
	c.enter("failed", nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastErr = err
}

// handler returns the handler of one of the commands.
func (c *child) handler(cmd *mgr.Command) mgr.Handler {
	return func(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
		l, err := c.alive()
		if err != nil {
			return wire.Reply{}, err
		}
		reply, err := l.call(ctx, cmd.Name, call)
		if err == nil {
			err = c.fits(cmd, reply)
		}
		return reply, err
	}
}

// fits says whether a success is what the command was said to return.
func (c *child) fits(cmd *mgr.Command, reply wire.Reply) error {
	if cmd.Returns == nil || reply.Code != wire.CodeSuccess {
		return nil
	}
	raw, _ := reply.Arguments.(wire.Raw)
	problems := cmd.Returns.Check([]byte(raw.String()))
	if len(problems) == 0 {
		return nil
	}
	return badReply(c.cfg.Name, problems[0].Text)
}

func badReply(name, why string) error {
	return wire.Errorf(wire.CodeInternal, "bad-hook-reply", "the hook '%s' returned what it must not: %s", name, why)
}

// alive returns the present life, or the answer to whoever wants one.
func (c *child) alive() (*life, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.life != nil && c.state == "running":
		return c.life, nil
	case c.state == "failed":
		return nil, down("the hook '%s' does not run: %v", c.cfg.Name, c.lastErr)
	case c.state == "stopping":
		return nil, down("the hook '%s' is being stopped", c.cfg.Name)
	case c.state == "broken":
		return nil, down("the hook '%s' has failed %d times in a row, the last time because %v; it is tried again at %s",
			c.cfg.Name, c.failures, c.lastErr, c.retryAt.UTC().Format(time.RFC3339))
	}
	return nil, down("the hook '%s' has ended, and is started again at %s: %v",
		c.cfg.Name, c.retryAt.UTC().Format("15:04:05.000Z"), c.lastErr)
}

func down(format string, args ...any) error {
	return wire.Errorf(wire.CodeShuttingDown, "hook-down", format, args...)
}

func (c *child) status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{
		Name: c.cfg.Name, Kind: "process", State: c.state, Since: c.since.UTC().Truncate(time.Second), Restarts: c.restarts,
	}
	if c.life != nil {
		s.PID = c.life.proc.Pid()
	}
	if c.lastErr != nil {
		s.LastError = c.lastErr.Error()
	}
	if !c.retryAt.IsZero() {
		at := c.retryAt.UTC().Truncate(time.Millisecond)
		s.RetryAt = &at
	}
	return s
}

func (c *child) usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state != "failed" && c.state != "stopping"
}

// retry ends the pause before the next try.
func (c *child) retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == nil {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

func (c *child) unload(hurry context.Context) {
	c.mu.Lock()
	c.state, c.since, c.hurry = "stopping", time.Now(), hurry
	c.mu.Unlock()
	c.stop()
	<-c.finished
}
