package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/std"
)

// Version is the daemon's version, set by the linker for releases.
var Version = "0.1.0-dev"

// A daemon is what the commands are about. It belongs to the loop.
type daemon struct {
	config  *Config
	started time.Time
	level   slog.LevelVar
	stats   *std.Statistics
	manager *mgr.CommandMgr
	id      *identity
	log     *slog.Logger
	logFile *logFile
	metrics *metrics
	life    life
	audit   *audit.Log // nil: none is kept
	door    *doorman
	sockets []way
	stop    context.CancelFunc
	exit    int
}

// A way is an open way in.
type way struct {
	*mgr.Socket
	url string
}

// serve runs the daemon until ctx ends or somebody commands it to shut down.
func serve(ctx context.Context, config *Config, stdout, stderr io.Writer) (exit int, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d := &daemon{config: config, started: time.Now(), stats: std.NewStatistics(), stop: stop}
	d.stats.Measure("uptime", func() int64 { return int64(time.Since(d.started).Seconds()) })
	d.level.Set(config.logLevel())
	d.metrics = newMetrics(func() mgr.Load { return d.manager.Load() })
	d.life.hearHangups()
	defer d.rest()
	if err := makeStateDir(config.StateDir); err != nil {
		return 1, err
	}
	if d.logFile, err = openLog(config.LogFile, stderr); err != nil {
		return 1, err
	}
	defer d.logFile.Close()
	d.log = slog.New(config.logHandler(d.logFile, &d.level))
	if d.audit, err = config.Audit.open(d.log); err != nil {
		return 1, err
	}
	d.door = &doorman{log: d.log, audit: d.audit, metrics: d.metrics}
	if d.id, err = identify(config, d.log); err != nil {
		return 1, err
	}
	options := &mgr.Options{
		Authorizer: d.id.policy,
		Logger:     d.log,
		Observer:   observers{d.stats.Observer(), d.metrics},
		Limits:     config.Limits.manager(),
	}
	if d.audit != nil {
		options.Recorder = d.audit
		defer func() { err = errors.Join(err, d.audit.Close()) }()
	}
	d.manager = mgr.New(options)
	if err := d.manager.Register(d.commands()...); err != nil {
		return 1, err
	}
	for _, line := range slices.Concat(d.id.policy.Unknown(), d.id.policy.Idle(d.manager.Commands())) {
		d.log.Warn(line)
	}
	if err := d.begin(ctx, stdout); err != nil {
		stop()
		_ = d.manager.Run(ctx) // closes what is open
		return 1, err
	}
	err = d.manager.Run(ctx)
	return d.exit, err
}

// commands are what the daemon can be asked to do, apart from what every manager can.
func (d *daemon) commands() []mgr.Command {
	var recorded []mgr.Command
	if d.audit != nil {
		recorded = d.audit.Commands()
	}
	return slices.Concat(
		recorded,
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
		std.Config("Rudderpost", func() any { return d.config }),
		std.LogLevel(&d.level),
		std.Sessions(d.manager),
		access.Commands(d.id.policy, d.manager),
		d.stats.Commands(),
	)
}

func (d *daemon) status() std.Status {
	status := std.StatusOf(d.started, d.started)
	for _, s := range d.sockets {
		status.Sockets.Open = append(status.Sockets.Open, s.url)
	}
	return status
}

// owners names who may command without being told of.
func (d *daemon) owners() string {
	if !d.config.Access.Owner {
		return "who is a [[principal]]"
	}
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Sprintf("uid %d and root", uid)
	}
	return "root"
}

// makeStateDir makes the directory of what the daemon makes itself, for nobody but its user.
func makeStateDir(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("state-dir: %w", err)
	}
	return nil
}
