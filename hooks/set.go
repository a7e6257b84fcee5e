package hooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
)

// A Set has the hook libraries of one manager. Set the fields before the first call of a method. The methods may be
// called concurrently, except where their comments say otherwise. A manager can have one Set, since SetLayer has one
// layer.
type Set struct {
	// Manager is the manager to which the libraries add commands. It is required.
	Manager *mgr.CommandMgr

	// Libraries are functions that make the compiled-in libraries, by their Config.Name.
	Libraries map[string]func() Library

	// Logger gets the lines that processes write to stderr, their log frames, and their ends. nil: slog.Default().
	Logger *slog.Logger

	// StartTimeout is how long a library may take to load: Library.Load, or the start of a process until its
	// introduce. 0: 10 s.
	StartTimeout time.Duration

	// StopTimeout is how long a process may take to reply to its calls, and then again to end after its stdin was
	// closed. 0: 5 s.
	StopTimeout time.Duration

	start starter // tests replace it

	once   sync.Once
	forced context.Context // ends when Close stops to wait; then processes are killed
	force  context.CancelFunc

	mu       sync.Mutex
	running  *hookList
	closed   bool
	stopping []stopTask
}

// A stopTask is a goroutine that stops libraries.
type stopTask struct {
	done    chan struct{} // closed when they have ended
	process bool          // the library is a process, which certainly ends
}

// A hookList has the libraries in force between two commits. Its address identifies the state.
type hookList struct{ hooks []*loadedHook }

// A loadedHook is one loaded library.
type loadedHook struct {
	cfg        Config
	commands   []*mgr.Command
	middleware []func(mgr.Handler) mgr.Handler
	hook       hook
}

// A hook is a library of any kind, as a Set uses it.
type hook interface {
	status() Status                // does not block
	reusable() bool                // reports whether a change may keep it
	retry()                        // ends the pause before the next start, if there is one
	unload(forced context.Context) // blocks until it has ended; when forced ends, it is killed if that is possible
}

func (s *Set) init() {
	s.once.Do(func() {
		s.forced, s.force = context.WithCancel(context.Background())
		s.running = &hookList{}
		if s.Logger == nil {
			s.Logger = slog.Default()
		}
		if s.StartTimeout == 0 {
			s.StartTimeout = 10 * time.Second
		}
		if s.StopTimeout == 0 {
			s.StopTimeout = 5 * time.Second
		}
		if s.start == nil {
			s.start = startProcess
		}
	})
}

// Prepare loads the libraries of configs in their order, and does not change the running ones. A library whose Config
// has not changed is kept as it is, unless its state is failed. The error names each library that cannot be loaded;
// then all libraries that this call has loaded are unloaded again.
//
// Prepare blocks for StartTimeout at most for each library. It must not be called on the loop. The caller must commit
// or discard the Change.
func (s *Set) Prepare(ctx context.Context, configs []Config) (*Change, error) {
	s.init()
	if err := check(configs); err != nil {
		return nil, err
	}
	s.mu.Lock()
	c := &Change{set: s, base: s.running}
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil, errClosed
	}
	var errs []error
	for _, cfg := range configs {
		cfg = cfg.filled()
		if kept := c.base.find(cfg); kept != nil {
			c.hooks = append(c.hooks, kept)
			continue
		}
		e, err := s.load(ctx, cfg)
		if err != nil {
			errs = append(errs, fmt.Errorf("hook '%s': %w", cfg.Name, err))
			continue
		}
		c.hooks = append(c.hooks, e)
		c.loaded = append(c.loaded, e)
	}
	if len(errs) == 0 {
		errs = append(errs, s.Manager.CheckLayer(c.layer()))
	}
	if err := errors.Join(errs...); err != nil {
		c.Discard()
		return nil, err
	}
	return c, nil
}

var errClosed = errors.New("the hook libraries have been closed")

// find returns the running library that can be kept for a configuration, or nil.
func (g *hookList) find(cfg Config) *loadedHook {
	for _, e := range g.hooks {
		if e.cfg.equal(cfg) && e.hook.reusable() {
			return e
		}
	}
	return nil
}

func (s *Set) load(ctx context.Context, cfg Config) (*loadedHook, error) {
	ctx, stop := context.WithTimeoutCause(ctx, s.StartTimeout, fmt.Errorf("it took longer than %s to load", s.StartTimeout))
	defer stop()
	if len(cfg.Exec) > 0 {
		return s.loadProcess(ctx, cfg)
	}
	return s.loadCompiled(ctx, cfg)
}

// Close removes all libraries from the manager and stops them, the last one first. It blocks until they have ended.
// When ctx ends, it kills the processes, waits for their end, and returns the cause of ctx. It must not be called on
// the loop.
func (s *Set) Close(ctx context.Context) error {
	s.init()
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		_ = s.Manager.SetLayer(mgr.Layer{}) // cannot fail for an empty layer
		s.stopLocked(s.running.hooks)
		s.running = &hookList{}
	}
	stopping := slices.Clone(s.stopping)
	s.mu.Unlock()
	defer context.AfterFunc(ctx, s.force)()
	for _, each := range stopping {
		if each.process {
			<-each.done
			continue
		}
		select {
		case <-each.done:
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}

// stopLocked unloads libraries on other goroutines. Compiled-in ones are unloaded one after the other, the last one
// first. Processes are stopped concurrently. The caller holds mu.
func (s *Set) stopLocked(hooks []*loadedHook) {
	s.stopping = slices.DeleteFunc(s.stopping, func(each stopTask) bool {
		select {
		case <-each.done:
			return true
		default:
			return false
		}
	})
	var compiled []*loadedHook
	for _, e := range slices.Backward(hooks) {
		if len(e.cfg.Exec) > 0 {
			s.goTrackedLocked(true, func() { e.hook.unload(s.forced) })
		} else {
			compiled = append(compiled, e)
		}
	}
	s.goTrackedLocked(false, func() {
		for _, e := range compiled {
			e.hook.unload(s.forced)
		}
	})
}

// goTrackedLocked runs f on a new goroutine, for which Close waits. The caller holds mu.
func (s *Set) goTrackedLocked(process bool, f func()) {
	each := stopTask{make(chan struct{}), process}
	s.stopping = append(s.stopping, each)
	go func() {
		defer close(each.done)
		f()
	}()
}

// A Change has the libraries of a new configuration, loaded but not in force. The caller commits or discards it, once.
//
//	from       to          when
//	prepared   committed   Commit returns nil
//	prepared   prepared    Commit returns an error
//	prepared   discarded   Discard
type Change struct {
	set    *Set
	base   *hookList // the libraries in force when it was prepared
	hooks  []*loadedHook
	loaded []*loadedHook // those of hooks that Prepare has loaded
	done   bool          // committed or discarded
}

// Commit puts the change in force. It must be called on the loop, and does not block. After an error nothing has
// changed, and the caller must call Discard. Libraries that the change does not keep are stopped afterwards, off the
// loop.
func (c *Change) Commit() error {
	s := c.set
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errClosed
	case c.done:
		return errors.New("this change of the hook libraries has been committed or discarded before")
	case s.running != c.base:
		return errors.New("the hook libraries have changed since this change was prepared; prepare it again")
	}
	if err := s.Manager.SetLayer(c.layer()); err != nil {
		return err
	}
	c.done = true
	s.running = &hookList{c.hooks}
	var gone []*loadedHook
	for _, e := range c.base.hooks {
		if slices.Contains(c.hooks, e) {
			e.hook.retry()
		} else {
			gone = append(gone, e)
		}
	}
	s.stopLocked(gone)
	return nil
}

// Discard stops the libraries that Prepare has loaded, on another goroutine. After a successful Commit it does
// nothing. It does not block.
func (c *Change) Discard() {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	if !c.done {
		c.done = true
		c.set.stopLocked(c.loaded)
	}
}

// layer returns the layer for the manager.
func (c *Change) layer() mgr.Layer {
	layer := mgr.Layer{Overrides: map[string]string{}}
	for _, e := range c.hooks {
		layer.Commands = append(layer.Commands, e.commands...)
		layer.Middleware = append(layer.Middleware, e.middleware...)
		for _, name := range e.cfg.Overrides {
			layer.Overrides[name] = e.cfg.Name
		}
	}
	return layer
}

// A Status is an element of hook-list: one library.
type Status struct {
	Name      string     `json:"name"`
	Kind      string     `json:"kind" schema:"enum=compiled-in|process"`
	State     string     `json:"state" schema:"enum=running|restarting|broken|failed|stopping" doc:"restarting: its process has ended, and is started again soon; broken: that happened five times in a row, and it is started once a minute; failed: it introduced other commands than before, and is not started until the configuration is loaded again."`
	Commands  []string   `json:"commands" doc:"The commands that it adds."`
	Overrides []string   `json:"overrides,omitempty" doc:"Those of its commands that replace native ones."`
	Since     time.Time  `json:"since" doc:"The time of the last change of state."`
	PID       int        `json:"pid,omitzero"`
	Restarts  int        `json:"restarts" doc:"The number of restarts of its process."`
	LastError string     `json:"last-error,omitempty" doc:"The cause of the last end of its process."`
	RetryAt   *time.Time `json:"retry-at,omitempty" doc:"The time of the next start of its process."`
}

// Status returns the state of each library in force, in the order of the configuration. The caller owns the slice. It
// does not block.
func (s *Set) Status() []Status {
	s.init()
	s.mu.Lock()
	hooks := s.running.hooks
	s.mu.Unlock()
	all := make([]Status, 0, len(hooks))
	for _, e := range hooks {
		status := e.hook.status()
		status.Commands = []string{}
		for _, cmd := range e.commands {
			status.Commands = append(status.Commands, cmd.Name)
		}
		slices.Sort(status.Commands)
		status.Overrides = e.cfg.Overrides
		all = append(all, status)
	}
	return all
}

// Commands returns the command hook-list, for registration with the manager. Its level is read.
func (s *Set) Commands() []mgr.Command {
	return []mgr.Command{mgr.Func("hook-list", "List the hook libraries with their commands and states.", mgr.Read,
		func(context.Context, mgr.None) ([]Status, error) { return s.Status(), nil })}
}
