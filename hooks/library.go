package hooks

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"
)

// A Library is a hook library that is compiled into the daemon. It is trusted: a handler of its that runs
// on the loop holds up the loop.
type Library interface {
	// Load reads the parameters and says, with the Host's methods, what the library adds. None of it is
	// in force before Load has returned, and never when it fails. It runs beside the loop, while an
	// older instance may still be in use, and must return when ctx ends: what does so late is unloaded
	// at once.
	Load(ctx context.Context, h *Host) error

	// Unload ends what Load began. It is called once, after a Load that succeeded, when no new call comes
	// to what the library added. One that came before may still run.
	Unload(ctx context.Context)
}

// A Host is the daemon as a library's Load sees it. Only Load may use its methods; what else it has may
// be kept.
type Host struct {
	Name       string          // the library's, in the configuration
	Parameters wire.Value      // what the configuration has for it, strictly decoded with Decode; "{}" where that is nothing
	Manager    *mgr.CommandMgr // for Process, with the context of the call, whose caller's rights it has
	Logger     *slog.Logger

	commands []*mgr.Command
	around   []func(mgr.Handler) mgr.Handler
}

// Add adds commands. Where one cannot be, because of its name or for what is wrong with it, the library is
// not loaded.
func (h *Host) Add(commands ...mgr.Command) {
	for _, cmd := range commands {
		cmd.Owner = h.Name
		h.commands = append(h.commands, &cmd)
	}
}

// Around puts a function around every authorized call, also those of commands that do not exist: before,
// after (Kea's command_processed), instead, or not at all. The first library's is the outermost. It runs
// where the command runs: one that is not told to be Async runs on the loop, where nobody may wait.
func (h *Host) Around(f func(next mgr.Handler) mgr.Handler) { h.around = append(h.around, f) }

// compiled is a hook that is a Go value.
type compiled struct {
	Library
	name  string
	since time.Time
	log   *slog.Logger
}

func (s *Set) loadCompiled(ctx context.Context, cfg Config) (*entry, error) {
	makeIt, ok := s.Libraries[cfg.Name]
	if !ok {
		return nil, fmt.Errorf("no library of this name is compiled in; say exec, or one of %q", slices.Sorted(maps.Keys(s.Libraries)))
	}
	log := s.Logger.With("hook", cfg.Name)
	host := &Host{Name: cfg.Name, Parameters: cfg.Parameters, Manager: s.Manager, Logger: log}
	c := &compiled{name: cfg.Name, log: log}
	var decided atomic.Bool // whether it was in time
	loaded := make(chan error, 1)
	go func() {
		err := c.load(ctx, makeIt, host)
		if !decided.CompareAndSwap(false, true) && err == nil {
			c.unload(s.hurry)
		}
		loaded <- err
	}()
	select {
	case <-ctx.Done():
		if decided.CompareAndSwap(false, true) {
			return nil, context.Cause(ctx)
		}
	case err := <-loaded:
		loaded <- err
	}
	if err := <-loaded; err != nil {
		return nil, err
	}
	c.since = time.Now()
	return &entry{cfg: cfg, commands: host.commands, around: host.around, hook: c}, nil
}

// load makes an error of a panic.
func (c *compiled) load(ctx context.Context, makeIt func() Library, h *Host) (err error) {
	defer func() {
		if v := recover(); v != nil {
			c.log.Error("panic in a hook library", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	c.Library = makeIt()
	return c.Load(ctx, h)
}

func (c *compiled) unload(hurry context.Context) {
	defer func() {
		if v := recover(); v != nil {
			c.log.Error("panic in a hook library", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	c.Unload(hurry)
}

func (c *compiled) usable() bool { return true }
func (c *compiled) retry()       {}

func (c *compiled) status() Status {
	return Status{Name: c.name, Kind: "compiled-in", State: "running", Since: c.since.UTC().Truncate(time.Second)}
}
