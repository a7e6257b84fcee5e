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

// A Set has the hook libraries of one manager. The fields are set before its first use. The methods may
// be called from any goroutine, except where they say otherwise; only one Set may use a manager's Overlay.
type Set struct {
	// Manager is whose commands the libraries add to. It is required.
	Manager *mgr.CommandMgr

	// Libraries makes those that are compiled in, by the names under which configurations know them.
	Libraries map[string]func() Library

	// Logger gets what processes write to stderr, their log lines, and how they end. nil: slog.Default().
	Logger *slog.Logger

	// StartTimeout is how long a library may take to load, and a process to introduce itself. 0: 10 s.
	StartTimeout time.Duration

	// StopTimeout is how long a process may take for the calls that it has, and then to end once its
	// stdin is closed. 0: 5 s.
	StopTimeout time.Duration

	start starter // of processes; tests have their own

	once  sync.Once
	hurry context.Context // ends when nobody waits for an orderly stop any more
	rush  context.CancelFunc

	mu       sync.Mutex
	running  *generation
	closed   bool
	stopping []stopping
}

// A stopping is libraries that are being stopped.
type stopping struct {
	done chan struct{} // closed when they have ended
	sure bool          // that they will: they are processes
}

// A generation is what runs between two commits.
type generation struct{ entries []*entry }

// An entry is one loaded library.
type entry struct {
	cfg      Config
	commands []*mgr.Command
	around   []func(mgr.Handler) mgr.Handler
	hook     hook
}

// A hook is what a Set does with a library, whatever its kind.
type hook interface {
	status() Status // at once
	usable() bool   // whether a change may keep it
	retry()         // now, if it waits to start again
	unload(hurry context.Context)
}

func (s *Set) init() {
	s.once.Do(func() {
		s.hurry, s.rush = context.WithCancel(context.Background())
		s.running = &generation{}
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

// Prepare loads the libraries of a configuration beside those that run, in its order, and touches none
// of these. One whose configuration has not changed is kept as it is, unless it has failed for good. The
// error names each library that cannot be loaded; what was loaded is then unloaded again.
//
// It waits, StartTimeout at most for each library. The Change is to be committed or discarded.
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
			c.entries = append(c.entries, kept)
			continue
		}
		e, err := s.load(ctx, cfg)
		if err != nil {
			errs = append(errs, fmt.Errorf("hook '%s': %w", cfg.Name, err))
			continue
		}
		c.entries = append(c.entries, e)
		c.fresh = append(c.fresh, e)
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

// find returns the library that may be kept for a configuration.
func (g *generation) find(cfg Config) *entry {
	for _, e := range g.entries {
		if e.cfg.equal(cfg) && e.hook.usable() {
			return e
		}
	}
	return nil
}

func (s *Set) load(ctx context.Context, cfg Config) (*entry, error) {
	ctx, stop := context.WithTimeoutCause(ctx, s.StartTimeout, fmt.Errorf("it took longer than %s to load", s.StartTimeout))
	defer stop()
	if len(cfg.Exec) > 0 {
		return s.loadProcess(ctx, cfg)
	}
	return s.loadCompiled(ctx, cfg)
}

// Close takes all libraries away and stops them, the last one first. It waits until they have ended, or,
// once ctx has, until their processes have been killed. It must not be called on the loop.
func (s *Set) Close(ctx context.Context) error {
	s.init()
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		_ = s.Manager.SetLayer(mgr.Layer{}) // an empty layer fits everywhere
		s.stop(s.running.entries)
		s.running = &generation{}
	}
	stopping := slices.Clone(s.stopping)
	s.mu.Unlock()
	defer context.AfterFunc(ctx, s.rush)()
	for _, each := range stopping {
		if each.sure {
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

// stop unloads libraries beside the caller. Those in the process come one after the other, the last one
// first; a process delays nobody. s.mu is held.
func (s *Set) stop(entries []*entry) {
	s.stopping = slices.DeleteFunc(s.stopping, func(each stopping) bool {
		select {
		case <-each.done:
			return true
		default:
			return false
		}
	})
	var compiled []*entry
	for _, e := range slices.Backward(entries) {
		if len(e.cfg.Exec) > 0 {
			s.beside(true, func() { e.hook.unload(s.hurry) })
		} else {
			compiled = append(compiled, e)
		}
	}
	s.beside(false, func() {
		for _, e := range compiled {
			e.hook.unload(s.hurry)
		}
	})
}

// beside runs f on a goroutine of its own that Close waits for. s.mu is held.
func (s *Set) beside(sure bool, f func()) {
	each := stopping{make(chan struct{}), sure}
	s.stopping = append(s.stopping, each)
	go func() {
		defer close(each.done)
		f()
	}()
}
