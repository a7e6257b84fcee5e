package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/rudderpost/rudderpost/cmd/internal/notify"
	"github.com/rudderpost/rudderpost/wire"
)

// background is the work that goes on beside the manager while the daemon runs: SIGHUP, systemd and the loop lag.
type background struct {
	hangups    chan os.Signal
	goroutines sync.WaitGroup
	cancel     context.CancelFunc

	mu       sync.Mutex
	stopping bool // systemd was told that the daemon stops
}

// notify calls send, which reports a state to systemd. After notifyStopping it does nothing: a daemon that stops must
// not report ready again, even after SIGHUP.
func (l *background) notify(send func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopping {
		send()
	}
}

// notifyStopping reports to systemd that the daemon stops.
func (l *background) notifyStopping() {
	l.notify(func() {
		l.stopping = true
		notify.Stopping()
	})
}

// catchHangups makes the daemon receive SIGHUP. Without it, the signal would end the process. start handles the
// signals.
func (l *background) catchHangups() {
	l.hangups = make(chan os.Signal, 1)
	signal.Notify(l.hangups, syscall.SIGHUP)
}

// start commits the first configuration, starts the background goroutines, and reports to systemd that the daemon is
// ready. When ctx ends, it reports that the daemon stops.
func (d *daemon) start(ctx context.Context, config *Config) error {
	tx, err := d.prepare(ctx, config)
	if err != nil {
		return err
	}
	if err := tx.commit(); err != nil { // the loop does not run yet, so this goroutine owns it
		tx.discard()
		return err
	}
	tx.announce(d.stdout, d.log)
	bgCtx, cancel := context.WithCancel(context.Background()) // it lasts through the drain
	d.background.cancel = cancel
	d.background.goroutines.Go(func() { d.handleHangups(bgCtx) })
	d.background.goroutines.Go(func() { notify.Watchdog(bgCtx, d.manager.Post) })
	d.background.goroutines.Go(func() { d.metrics.lag.measure(bgCtx, d.manager.Post) })
	d.background.notify(notify.Ready)
	context.AfterFunc(ctx, func() {
		d.background.notifyStopping()
		if record := d.recorder.Load(); record != nil {
			record.Closing() // a new daemon process then waits for the drain
		}
	})
	return nil
}

// stopBackground stops the goroutines that start has started, and waits for them.
func (d *daemon) stopBackground() {
	if d.background.cancel != nil {
		d.background.cancel()
	}
	d.background.goroutines.Wait()
	signal.Stop(d.background.hangups)
}

// handleHangups reopens the log and the audit, and reads the configuration again, after each SIGHUP, until ctx ends.
func (d *daemon) handleHangups(ctx context.Context) {
	for {
		select {
		case <-d.background.hangups:
			d.reloadOnHangup(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (d *daemon) reloadOnHangup(ctx context.Context) {
	d.background.notify(notify.Reloading)
	defer d.background.notify(notify.Ready)
	d.reopenLog()
	if record := d.recorder.Load(); record != nil {
		if err := record.Reopen(); err != nil {
			d.log.Error("the audit cannot be opened again", "error", err)
		}
	}
	if d.file == "" {
		return
	}
	reply, err := d.manager.ProcessEncoded(ctx, wire.Request{Command: "config-reload"})
	if err == nil {
		err = reply.Err()
	}
	if err != nil {
		d.log.Error("SIGHUP: the configuration stays as it was", "error", err)
		return
	}
	d.log.Info("SIGHUP: the configuration has been read again")
}

// reopenLog opens the log file again, and logs the error if it cannot.
func (d *daemon) reopenLog() {
	if d.current.Load().LogFile == "" {
		return
	}
	if err := d.logFile.Reopen(); err != nil {
		d.log.Error("the log cannot be opened again; the file that is open stays in use", "error", err)
		return
	}
	d.log.Info("the log has been opened again")
}
