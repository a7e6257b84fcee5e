package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/std"
	"github.com/rudderpost/rudderpost/transport"
)

// Version is the daemon's version, set by the linker for releases.
var Version = "0.1.0-dev"

// A daemon is what the commands are about. What is not safe for all belongs to the loop.
type daemon struct {
	file     string // of the configuration; empty: none
	started  time.Time
	reloadAt atomic.Int64 // when the configuration in force came into it, in nanoseconds of the epoch
	level    slog.LevelVar
	stats    *std.Statistics
	manager  *mgr.CommandMgr
	policy   *access.Policy
	auth     gate
	record   recorder
	hooks    *hooks.Set
	inForce  atomic.Pointer[setup] // replaced on the loop
	log      *slog.Logger
	handler  *logHandler
	logFile  *logFile
	metrics  *metrics
	life     life
	door     *doorman
	passed   targets.PassedSockets
	stdout   io.Writer
	stop     context.CancelFunc
	ready    func() bool // commands are taken: from the first configuration in force until the drain begins
	exit     int
}

// serve runs the daemon until ctx ends or somebody commands it to shut down.
func serve(ctx context.Context, file string, config *Config, stdout, stderr io.Writer) (exit int, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d := &daemon{file: file, started: time.Now(), stats: std.NewStatistics(), stop: stop}
	d.ready = func() bool { return d.inForce.Load() != nil && ctx.Err() == nil }
	d.reloaded()
	d.stats.Measure("uptime", func() int64 { return int64(time.Since(d.started).Seconds()) })
	d.level.Set(config.logLevel())
	d.metrics = newMetrics(func() mgr.Stats { return d.manager.Stats() })
	d.life.hearHangups()
	d.logFile = &logFile{stderr: stderr, trust: config.trust, format: config.formatRecord}
	defer d.logFile.Close()
	d.stdout = lineCounter{stdout, d.logFile}
	d.stats.Measure("lines-unwritten", d.logFile.Unwritten)
	d.metrics.unwritten = d.logFile.Unwritten
	d.handler = newLogHandler(config.logHandler(d.logFile, &d.level))
	d.log = slog.New(d.handler)
	d.door = &doorman{log: d.log, record: &d.record, metrics: d.metrics}
	d.passed = targets.TakePassedSockets()
	if d.policy, err = access.NewPolicy(access.Options{NoOwner: true}); err != nil {
		return 1, err
	}
	d.manager = mgr.New(&mgr.Options{
		Authorizer: d.policy,
		Logger:     d.log,
		Recorder:   &d.record,
		Observer:   observers{d.stats.Observer(), d.metrics},
		Limits:     config.Limits.manager(),
	})
	d.hooks = &hooks.Set{Manager: d.manager, Logger: d.log}
	d.metrics.restarts = d.hookRestarts
	defer func() { err = errors.Join(err, d.close()) }()
	defer d.rest()
	if err := d.manager.Register(d.commands()...); err != nil {
		return 1, err
	}
	if err := d.begin(ctx, config); err != nil {
		asked := ctx.Err() != nil // to stop, before it had begun
		stop()
		_ = d.manager.Run(ctx) // closes what is open
		if asked {
			return 0, nil
		}
		return 1, err
	}
	err = d.manager.Run(ctx)
	return d.exit, err
}

// close ends what the configuration has begun, behind the last command.
func (d *daemon) close() (err error) {
	patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = d.hooks.Close(patience)
	d.door.lines.Flush()
	if log := d.record.Load(); log != nil {
		err = errors.Join(err, log.Close())
	}
	if setup := d.inForce.Load(); setup != nil {
		setup.metrics.close()
		for _, w := range setup.ways {
			w.close()
		}
	}
	return err
}

// reloaded notes that another configuration is in force.
func (d *daemon) reloaded() { d.reloadAt.Store(time.Now().UnixNano()) }

// commands are what the daemon can be asked to do, apart from what every manager can, and what hook
// libraries add.
func (d *daemon) commands() []mgr.Command {
	return slices.Concat(
		[]mgr.Command{
			std.Version(Version, ""),
			std.BuildReport(),
			std.StatusGet(d.status),
			d.metrics.command(),
			std.Shutdown(func(exit int) {
				d.exit = exit
				d.stop()
			}),
		},
		std.Configuration(section, newSettings(d)),
		std.LogLevel(&d.level),
		std.Sessions(d.manager),
		access.Commands(d.policy, d.manager),
		d.record.commands(),
		d.hooks.Commands(),
		d.stats.Commands(),
	)
}

func (d *daemon) status() std.Status {
	status := std.StatusOf(d.started, time.Unix(0, d.reloadAt.Load()))
	for _, w := range d.inForce.Load().ways {
		status.Sockets.Open = append(status.Sockets.Open, w.url)
	}
	return status
}

// frameLimits are what conns may take that are opened now.
func (d *daemon) frameLimits() transport.FrameLimits {
	var l Limits
	if setup := d.inForce.Load(); setup != nil {
		l = setup.Limits
	}
	return transport.FrameLimits{MaxFrame: int(l.MaxFrame), Idle: time.Duration(l.IdleTimeout), FrameTimeout: time.Duration(l.FrameTimeout)}
}

// keepAlive is how long an HTTP connection may be idle that becomes so now.
func (d *daemon) keepAlive() time.Duration {
	if setup := d.inForce.Load(); setup != nil {
		return time.Duration(setup.Limits.KeepAlive)
	}
	return 0 // no configuration is in force yet: the default of the transport
}

// hookRestarts says how often each hook has been started again.
func (d *daemon) hookRestarts() map[string]uint64 {
	restarts := map[string]uint64{}
	for _, s := range d.hooks.Status() {
		restarts[s.Name] = uint64(s.Restarts)
	}
	return restarts
}

// owners names who may command without being told of.
func (c *change) owners() string {
	if !c.next.Access.Owner {
		return "who is a [[principal]]"
	}
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Sprintf("uid %d and root", uid)
	}
	return "root"
}

// makeStateDir makes the folder for what the daemon makes itself, with mode 0700. One that another user could change
// is refused.
func (c *Config) makeStateDir() error {
	if c.StateDir == "" {
		return nil
	}
	if err := c.state().MakeFolder(c.StateDir, 0o700); err != nil {
		return fmt.Errorf("state-dir: %w", err)
	}
	return nil
}
