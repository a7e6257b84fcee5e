package hooks

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"
)

// A processHook is a hook library that is a process. It runs one instance after another, with pauses between them.
//
//	state       meaning
//	running     an instance has registered its commands, and takes calls
//	restarting  the instance has ended; the next start comes after a short pause
//	broken      the same after breakAfter failures in a row; there is one start a minute
//	failed      an instance has registered other commands than before; there is no further start
//	stopping    unload was called
//
//	from        to          when                                                 test
//	(new)       running     the first instance has registered its commands       TestHookStates
//	running     restarting  the instance has ended                               TestHookStates
//	running     broken      the same, as failure number breakAfter or later      TestPausesGrowUntilTheHookIsBroken
//	restarting  running     a new instance has registered the same commands      TestHookStates
//	restarting  broken      a start has failed as failure number breakAfter      TestHookStates
//	restarting  failed      a new instance has registered other commands         TestOtherRegistrationFailsTheHook
//	broken      running     a new instance has registered the same commands      TestHookStates
//	broken      failed      a new instance has registered other commands         TestHookStates
//	any         stopping    unload                                               TestUnloadedHookIsStopping
//
// An instance that has run for stableAfter resets the number of failures (TestStableInstanceResetsTheFailures).
type processHook struct {
	cfg          Config
	manager      *mgr.CommandMgr
	log          *slog.Logger
	start        starter
	startTimeout time.Duration // for the registration of an instance
	stopTimeout  time.Duration // for each step of a shutdown

	registration registration    // of the first instance
	ctx          context.Context // ends when the hook is to stop
	stop         context.CancelFunc
	forced       context.Context // set by unload before it ends ctx; when it ends, the shutdown kills the process
	wake         chan struct{}   // has an element when the pause before a start shall end
	finished     chan struct{}   // closed when the last instance has ended after stop

	mu       sync.Mutex
	instance *instance // nil: none is running
	state    hookState
	since    time.Time // when the hook came into this state
	failures int       // in a row
	restarts int
	lastErr  error
	retryAt  time.Time // when the next start comes; zero: none is planned
}

// A hookState is a state of a processHook, as in Status.State.
type hookState string

const (
	stateRunning    hookState = "running"
	stateRestarting hookState = "restarting"
	stateBroken     hookState = "broken"
	stateFailed     hookState = "failed"
	stateStopping   hookState = "stopping"
)

// The pauses between starts.
const (
	minPause    = 100 * time.Millisecond // after the first failure
	maxPause    = time.Minute            // from failure number breakAfter on
	breakAfter  = 5                      // failures in a row
	stableAfter = time.Minute            // an instance that has run so long resets the count of failures
)

// backOff returns the pause after a number of failures in a row. It is shortened by up to a quarter at random, so that
// hooks that fail at the same time do not start again at the same time.
func backOff(failures int) time.Duration {
	pause := maxPause
	if failures < breakAfter {
		pause = minPause << (failures - 1)
	}
	return pause - rand.N(pause/4) //nolint:gosec // the pause is no secret
}

// loadProcess starts the first instance, and returns when it has registered its commands.
func (s *Set) loadProcess(ctx context.Context, cfg Config) (*loadedHook, error) {
	h := &processHook{
		cfg: cfg, manager: s.Manager, log: s.Logger.With("hook", cfg.Name), start: s.start,
		startTimeout: s.StartTimeout, stopTimeout: s.StopTimeout,
		wake: make(chan struct{}, 1), finished: make(chan struct{}),
	}
	i, err := h.startInstance(ctx)
	if err != nil {
		return nil, err
	}
	h.registration = i.registration
	commands, err := h.registration.commands(cfg.Name, h.handler)
	if err != nil {
		i.end(err)
		i.wait()
		return nil, err
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.setState(stateRunning, i)
	go h.supervise(i)
	return &loadedHook{cfg: cfg, commands: commands, hook: h}, nil
}

// supervise starts a new instance when one has ended, until stop is called.
func (h *processHook) supervise(i *instance) {
	defer close(h.finished)
	for {
		select {
		case <-i.ended:
		case <-h.ctx.Done():
			i.shutdown(h.forced)
			return
		}
		i.wait()
		if i = h.restart(i.err, i.age()); i == nil {
			<-h.ctx.Done()
			return
		}
	}
}

// restart starts instances until one has registered the same commands as before. It returns nil if the hook is to
// stop or has failed. err is the error of the last instance, and ran its age.
func (h *processHook) restart(err error, ran time.Duration) *instance {
	if ran >= stableAfter {
		h.mu.Lock()
		h.failures = 0
		h.mu.Unlock()
	}
	for h.ctx.Err() == nil {
		pause := time.NewTimer(h.failed(err))
		select {
		case <-pause.C:
		case <-h.wake:
		case <-h.ctx.Done():
		}
		pause.Stop()
		if h.ctx.Err() != nil {
			return nil
		}
		ctx, stop := context.WithTimeoutCause(h.ctx, h.startTimeout, errStartTimeout)
		var i *instance
		i, err = h.startInstance(ctx)
		stop()
		switch {
		case err != nil:
		case !reflect.DeepEqual(i.registration, h.registration):
			i.end(errOtherRegistration)
			i.wait()
			h.fail(errOtherRegistration)
			return nil
		default:
			h.log.Info("a hook has been started again", "pid", i.proc.Pid())
			h.setState(stateRunning, i)
			return i
		}
	}
	return nil
}

var (
	errStartTimeout      = errors.New("it did not introduce itself in time")
	errOtherRegistration = errors.New("it introduced itself as something else than before; load the configuration again")
)

// startInstance starts the process, and blocks until it has registered its commands, or ctx ends.
func (h *processHook) startInstance(ctx context.Context) (*instance, error) {
	proc, err := h.start(&h.cfg, func(line string) { h.log.Warn("a hook wrote to stderr", "line", line) })
	if err != nil {
		return nil, err
	}
	i := newInstance(h, proc)
	err = i.register(ctx)
	if err != nil {
		i.end(err)
		i.wait()
		return nil, err
	}
	return i, nil
}

// setState changes the state. i is the running instance, or nil.
func (h *processHook) setState(state hookState, i *instance) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i != nil && h.state != "" {
		h.restarts++
	}
	select {
	case <-h.wake: // it was meant for the pause before this state
	default:
	}
	h.instance, h.state, h.since, h.retryAt = i, state, time.Now(), time.Time{}
}

// failed counts a failure, logs it, and returns the pause until the next start.
func (h *processHook) failed(err error) (pause time.Duration) {
	failures, pause := h.countFailure(err)
	h.log.Error("a hook has ended", "error", err, "failures", failures, "pause", pause)
	return pause
}

func (h *processHook) countFailure(err error) (failures int, pause time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures++
	pause = backOff(h.failures)
	state := stateRestarting
	if h.failures >= breakAfter {
		state = stateBroken
	}
	if state != h.state {
		h.since = time.Now()
	}
	h.instance, h.state, h.lastErr, h.retryAt = nil, state, err, time.Now().Add(pause)
	return h.failures, pause
}

// fail changes to the state failed: no further instance is started.
func (h *processHook) fail(err error) {
	h.log.Error("a hook has failed", "error", err)
	h.setState(stateFailed, nil)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastErr = err
}

// handler returns the handler of one of the commands.
func (h *processHook) handler(cmd *mgr.Command) mgr.Handler {
	return func(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
		i, err := h.current()
		if err != nil {
			return wire.Reply{}, err
		}
		reply, err := i.call(ctx, cmd.Name, call)
		if err == nil {
			err = h.checkReturns(cmd, reply)
		}
		return reply, err
	}
}

// checkReturns checks the arguments of a successful reply against the schema that the command has registered.
func (h *processHook) checkReturns(cmd *mgr.Command, reply wire.Reply) error {
	if cmd.Returns == nil || reply.Code != wire.CodeSuccess {
		return nil
	}
	raw, _ := reply.Arguments.(wire.Raw)
	problems := cmd.Returns.Check([]byte(raw.String()))
	if len(problems) == 0 {
		return nil
	}
	return badReply(h.cfg.Name, problems[0].Text)
}

func badReply(name, why string) error {
	return wire.Errorf(wire.CodeInternal, "bad-hook-reply", "the hook '%s' returned what it must not: %s", name, why)
}

// current returns the running instance, or the error reply for a caller while there is none.
func (h *processHook) current() (*instance, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.instance != nil && h.state == stateRunning:
		return h.instance, nil
	case h.state == stateFailed:
		return nil, hookDown("the hook '%s' does not run: %v", h.cfg.Name, h.lastErr)
	case h.state == stateStopping:
		return nil, hookDown("the hook '%s' is being stopped", h.cfg.Name)
	case h.state == stateBroken:
		return nil, hookDown("the hook '%s' has failed %d times in a row, the last time because %v; it is tried again at %s",
			h.cfg.Name, h.failures, h.lastErr, h.retryAt.UTC().Format(time.RFC3339))
	}
	return nil, hookDown("the hook '%s' has ended, and is started again at %s: %v",
		h.cfg.Name, h.retryAt.UTC().Format("15:04:05.000Z"), h.lastErr)
}

func hookDown(format string, args ...any) error {
	return wire.Errorf(wire.CodeShuttingDown, "hook-down", format, args...)
}

// status implements hook.
func (h *processHook) status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Status{
		Name: h.cfg.Name, Kind: "process", State: string(h.state), Since: h.since.UTC().Truncate(time.Second), Restarts: h.restarts,
	}
	if h.instance != nil {
		s.PID = h.instance.proc.Pid()
	}
	if h.lastErr != nil {
		s.LastError = h.lastErr.Error()
	}
	if !h.retryAt.IsZero() {
		at := h.retryAt.UTC().Truncate(time.Millisecond)
		s.RetryAt = &at
	}
	return s
}

// reusable implements hook.
func (h *processHook) reusable() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state != stateFailed && h.state != stateStopping
}

// retry implements hook: it ends the pause before the next start.
func (h *processHook) retry() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.instance == nil {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
}

// unload implements hook. It blocks until the process has ended.
func (h *processHook) unload(forced context.Context) {
	h.mu.Lock()
	h.state, h.since, h.forced = stateStopping, time.Now(), forced
	h.mu.Unlock()
	h.stop()
	<-h.finished
}
