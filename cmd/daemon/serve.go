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

// Version is the daemon's version. The linker sets it for releases.
var Version = "0.1.0-dev"

// A daemon is the running daemon, which the commands read and change. Fields that are not safe for concurrent use
// belong to the loop.
type daemon struct {
	file         string // the path of the configuration file; empty: none
	started      time.Time
	configuredAt atomic.Int64 // when the configuration in force was committed, in Unix nanoseconds
	level        slog.LevelVar
	stats        *std.Statistics
	manager      *mgr.CommandMgr
	policy       *access.Policy
	auth         authSwitch
	recorder     auditSwitch
	hooks        *hooks.Set
	current      atomic.Pointer[snapshot] // replaced on the loop
	log          *slog.Logger
	logHandler   *logHandler
	logFile      *logFile
	metrics      *metrics
	background   background
	refusals     *refusalLog
	sockets      targets.PassedSockets
	stdout       io.Writer
	shutdown     context.CancelFunc
	ready        func() bool // whether commands are taken: from the first commit until the drain
	exitStatus   int
}

// serve runs the daemon until ctx ends or a client sends shutdown. It returns the exit status.
func serve(ctx context.Context, file string, config *Config, stdout, stderr io.Writer) (exit int, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d := &daemon{file: file, started: time.Now(), stats: std.NewStatistics(), shutdown: stop}
	d.ready = func() bool { return d.current.Load() != nil && ctx.Err() == nil }
	d.noteReload()
	d.stats.Measure("uptime", func() int64 { return int64(time.Since(d.started).Seconds()) })
	d.level.Set(config.logLevel())
	d.metrics = newMetrics(func() mgr.Stats { return d.manager.Stats() })
	d.background.catchHangups()
	d.logFile = &logFile{stderr: stderr, trust: config.trust, format: config.formatRecord}
	defer d.logFile.Close()
	d.stdout = countingWriter{stdout, d.logFile}
	d.stats.Measure("lines-unwritten", d.logFile.Unwritten)
	d.metrics.unwritten = d.logFile.Unwritten
	d.logHandler = newLogHandler(config.logHandler(d.logFile, &d.level))
	d.log = slog.New(d.logHandler)
	d.refusals = &refusalLog{log: d.log, recorder: &d.recorder, metrics: d.metrics}
	d.sockets = targets.TakePassedSockets()
	if d.policy, err = access.NewPolicy(access.Options{NoOwner: true}); err != nil {
		return 1, err
	}
	d.manager = mgr.New(&mgr.Options{
		Authorizer: d.policy,
		Logger:     d.log,
		Recorder:   &d.recorder,
		Observer:   multiObserver{d.stats.Observer(), d.metrics},
		Limits:     config.Limits.managerLimits(),
	})
	d.hooks = &hooks.Set{Manager: d.manager, Logger: d.log}
	d.metrics.hookRestarts = d.hookRestarts
	defer func() { err = errors.Join(err, d.close()) }()
	defer d.stopBackground()
	if err := d.manager.Register(d.commands()...); err != nil {
		return 1, err
	}
	if err := d.start(ctx, config); err != nil {
		stopped := ctx.Err() != nil // ctx ended before the daemon was ready
		stop()
		_ = d.manager.Run(ctx) // closes the open listeners
		if stopped {
			return 0, nil
		}
		return 1, err
	}
	err = d.manager.Run(ctx)
	return d.exitStatus, err
}

// close closes the hooks, the audit and the listeners, after the last command.
func (d *daemon) close() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = d.hooks.Close(ctx)
	d.refusals.limiter.Flush()
	if log := d.recorder.Load(); log != nil {
		err = errors.Join(err, log.Close())
	}
	if current := d.current.Load(); current != nil {
		current.metrics.close()
		for _, ln := range current.listeners {
			ln.close()
		}
	}
	return err
}

// noteReload records the time at which a configuration was committed.
func (d *daemon) noteReload() { d.configuredAt.Store(time.Now().UnixNano()) }

// commands returns the daemon's own commands. The manager and hook libraries add others.
func (d *daemon) commands() []mgr.Command {
	return slices.Concat(
		[]mgr.Command{
			std.Version(Version, ""),
			std.BuildReport(),
			std.StatusGet(d.status),
			d.metrics.command(),
			std.Shutdown(func(exit int) {
				d.exitStatus = exit
				d.shutdown()
			}),
		},
		std.Configuration(section, newSettings(d)),
		std.LogLevel(&d.level),
		std.Sessions(d.manager),
		access.Commands(d.policy, d.manager),
		d.recorder.commands(),
		d.hooks.Commands(),
		d.stats.Commands(),
	)
}

func (d *daemon) status() std.Status {
	status := std.StatusOf(d.started, time.Unix(0, d.configuredAt.Load()))
	for _, ln := range d.current.Load().listeners {
		status.Sockets.Open = append(status.Sockets.Open, ln.url)
	}
	return status
}

// frameLimits returns the frame limits for new conns.
func (d *daemon) frameLimits() transport.FrameLimits {
	var l Limits
	if current := d.current.Load(); current != nil {
		l = current.Limits
	}
	return transport.FrameLimits{MaxFrame: int(l.MaxFrame), Idle: time.Duration(l.IdleTimeout), FrameTimeout: time.Duration(l.FrameTimeout)}
}

// keepAlive returns the idle timeout of HTTP connections that become idle now.
func (d *daemon) keepAlive() time.Duration {
	if current := d.current.Load(); current != nil {
		return time.Duration(current.Limits.KeepAlive)
	}
	return 0 // before the first commit: the default of the transport
}

// hookRestarts returns the number of restarts of each hook.
func (d *daemon) hookRestarts() map[string]uint64 {
	restarts := map[string]uint64{}
	for _, s := range d.hooks.Status() {
		restarts[s.Name] = uint64(s.Restarts)
	}
	return restarts
}

// ownerNames describes the users that may run all commands without a [[principal]].
func (tx *transaction) ownerNames() string {
	if !tx.next.Access.Owner {
		return "each [[principal]]"
	}
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Sprintf("uid %d and root", uid)
	}
	return "root"
}

// makeStateDir creates the state-dir with mode 0700. It refuses a directory that another user could change.
func (c *Config) makeStateDir() error {
	if c.StateDir == "" {
		return nil
	}
	if err := c.fileRules().MakeFolder(c.StateDir, 0o700); err != nil {
		return fmt.Errorf("state-dir: %w", err)
	}
	return nil
}
