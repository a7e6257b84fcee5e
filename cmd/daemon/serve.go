package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/std"
	"github.com/rudderpost/rudderpost/transport/unix"
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
	sockets []*mgr.Socket
	stop    context.CancelFunc
	exit    int
}

// serve runs the daemon until ctx ends or somebody commands it to shut down.
func serve(ctx context.Context, config *Config, stdout, stderr io.Writer) (exit int, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d := &daemon{config: config, started: time.Now(), stats: std.NewStatistics(), stop: stop}
	d.stats.Measure("uptime", func() int64 { return int64(time.Since(d.started).Seconds()) })
	d.level.Set(config.logLevel())
	d.manager = mgr.New(&mgr.Options{
		Logger:   slog.New(config.logHandler(stderr, &d.level)),
		Observer: d.stats.Observer(),
		Limits:   config.Limits.manager(),
	})
	if err := d.manager.Register(d.commands()...); err != nil {
		return 1, err
	}
	if err := makeStateDir(config.StateDir); err != nil {
		return 1, err
	}
	if err := d.open(ctx, stdout); err != nil {
		stop()
		_ = d.manager.Run(ctx) // closes what is open
		return 1, err
	}
	err = d.manager.Run(ctx)
	return d.exit, err
}

// commands are what the daemon can be asked to do, apart from what every manager can.
func (d *daemon) commands() []mgr.Command {
	return slices.Concat(
		[]mgr.Command{
			std.Version(Version, ""),
			std.BuildReport(),
			std.StatusGet(d.status),
			std.Shutdown(func(exit int) {
				d.exit = exit
				d.stop()
			}),
		},
		std.Config("Rudderpost", func() any { return d.config }),
		std.LogLevel(&d.level),
		d.stats.Commands(),
	)
}

func (d *daemon) status() std.Status {
	status := std.StatusOf(d.started, d.started)
	for _, s := range d.sockets {
		status.Sockets.Open = append(status.Sockets.Open, targets.UnixURL(s.Addr().String()))
	}
	return status
}

// open opens all control sockets and says, one line each, where they are and how a client proves
// there who it is.
func (d *daemon) open(ctx context.Context, stdout io.Writer) error {
	for _, l := range d.config.Listen {
		socket, err := d.manager.Open(ctx, d.transport(l))
		if err != nil {
			return err
		}
		d.sockets = append(d.sockets, socket)
		fmt.Fprintf(stdout, "listening on %s, mode %s; the kernel tells who a client is, and %s may command\n",
			targets.UnixURL(l.path), l.Mode, owners())
	}
	return nil
}

func (d *daemon) transport(l *Listen) *unix.Transport {
	return &unix.Transport{
		Path:         l.path,
		Mode:         l.permissions,
		Group:        l.Group,
		MaxFrame:     int(d.config.Limits.MaxFrame),
		Idle:         time.Duration(d.config.Limits.IdleTimeout),
		FrameTimeout: time.Duration(d.config.Limits.FrameTimeout),
	}
}

// owners names who may command.
func owners() string {
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
