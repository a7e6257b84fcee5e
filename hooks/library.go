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

// A Library is a hook library that is compiled into the daemon. It is trusted: its handlers can block the loop.
type Library interface {
	// Load reads the parameters, and adds commands and middleware with the methods of h. They are in force after
	// Commit, and never if Load returns an error. Load runs off the loop, while an older value of the library may still
	// be in use. It must return when ctx ends; if it returns nil later, Unload is called at once.
	Load(ctx context.Context, h *Host) error

	// Unload frees what Load has allocated. It is called once after a successful Load, off the loop, when the library
	// gets no new calls. Earlier calls may still run. ctx ends when Close does not wait any longer.
	Unload(ctx context.Context)
}

// A Host is the daemon for the Load of a library. Only Load may call its methods, on its own goroutine. The library
// may keep the fields.
type Host struct {
	Name       string          // Config.Name
	Parameters wire.Value      // Config.Parameters; "{}" if there are none. Decode is strict
	Manager    *mgr.CommandMgr // for Process with the context of a call, which has the rights of its caller
	Logger     *slog.Logger

	commands   []*mgr.Command
	middleware []func(mgr.Handler) mgr.Handler
}

// Add adds commands. If one of them cannot be registered, the library is not loaded.
func (h *Host) Add(commands ...mgr.Command) {
	for _, cmd := range commands {
		cmd.Owner = h.Name
		h.commands = append(h.commands, &cmd)
	}
}

// Around adds middleware around every authorized call, also around calls of commands that do not exist. f may act
// before and after next (as Kea's command_processed does), or return a reply without calling next. The middleware of
// the first library is the outermost. It runs where the command runs: around a command that is not Async it runs on
// the loop, and must not block.
func (h *Host) Around(f func(next mgr.Handler) mgr.Handler) { h.middleware = append(h.middleware, f) }

// A compiled is a hook library that is a Go value.
type compiled struct {
	Library
	name  string
	since time.Time
	log   *slog.Logger
}

func (s *Set) loadCompiled(ctx context.Context, cfg Config) (*loadedHook, error) {
	newLibrary, ok := s.Libraries[cfg.Name]
	if !ok {
		return nil, fmt.Errorf("no library of this name is compiled in; say exec, or one of %q", slices.Sorted(maps.Keys(s.Libraries)))
	}
	log := s.Logger.With("hook", cfg.Name)
	host := &Host{Name: cfg.Name, Parameters: cfg.Parameters, Manager: s.Manager, Logger: log}
	c := &compiled{name: cfg.Name, log: log}
	var decided atomic.Bool // set by the first of the return of Load and the end of ctx
	loaded := make(chan error, 1)
	go func() {
		err := c.load(ctx, newLibrary, host)
		if !decided.CompareAndSwap(false, true) && err == nil {
			c.unload(s.forced)
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
	return &loadedHook{cfg: cfg, commands: host.commands, middleware: host.middleware, hook: c}, nil
}

// load calls Load, and turns a panic into an error.
func (c *compiled) load(ctx context.Context, newLibrary func() Library, h *Host) (err error) {
	defer func() {
		if v := recover(); v != nil {
			c.log.Error("panic in a hook library", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	c.Library = newLibrary()
	return c.Load(ctx, h)
}

// unload implements hook.
func (c *compiled) unload(forced context.Context) {
	defer func() {
		if v := recover(); v != nil {
			c.log.Error("panic in a hook library", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	c.Unload(forced)
}

func (c *compiled) reusable() bool { return true }
func (c *compiled) retry()         {}

func (c *compiled) status() Status {
	return Status{Name: c.name, Kind: "compiled-in", State: "running", Since: c.since.UTC().Truncate(time.Second)}
}
