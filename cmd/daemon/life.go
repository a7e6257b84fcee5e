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

// A life is what goes on beside the manager, as long as the daemon lives.
type life struct {
	hangups chan os.Signal
	all     sync.WaitGroup
	end     context.CancelFunc

	mu       sync.Mutex
	stopping bool // systemd has been told
}

// tell tells systemd how the daemon is, unless it has heard the last of that: a daemon that is stopping is
// not ready any more, whatever SIGHUP asks for meanwhile.
func (l *life) tell(how func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopping {
		how()
	}
}

// stop tells systemd that the daemon has begun to end.
func (l *life) stop() {
	l.tell(func() {
		l.stopping = true
		notify.Stopping()
	})
}

// hearHangups makes SIGHUP wait for begin, instead of ending the process.
func (l *life) hearHangups() {
	l.hangups = make(chan os.Signal, 1)
	signal.Notify(l.hangups, syscall.SIGHUP)
}

// begin puts the first configuration in force, starts what goes on beside the manager, and says that the
// daemon is ready. Until ctx ends it is; then it is stopping.
func (d *daemon) begin(ctx context.Context, config *Config) error {
	c, err := d.prepare(ctx, config)
	if err != nil {
		return err
	}
	if err := c.commit(); err != nil { // nobody runs the loop yet, so this is on it
		c.discard()
		return err
	}
	c.say(d.stdout, d.log)
	life, end := context.WithCancel(context.Background()) // through the drain, too
	d.life.end = end
	d.life.all.Go(func() { d.followHangups(life) })
	d.life.all.Go(func() { notify.Watchdog(life, d.manager.Post) })
	d.life.all.Go(func() { d.metrics.lag.measure(life, d.manager.Post) })
	d.life.tell(notify.Ready)
	context.AfterFunc(ctx, func() {
		d.life.stop()
		if record := d.record.Load(); record != nil {
			record.Closing() // the next daemon then waits for the drain
		}
	})
	return nil
}

// rest ends what begin has started.
func (d *daemon) rest() {
	if d.life.end != nil {
		d.life.end()
	}
	d.life.all.Wait()
	signal.Stop(d.life.hangups)
}

// followHangups does what SIGHUP asks for: the log and the audit are opened anew, and the configuration is
// read.
func (d *daemon) followHangups(ctx context.Context) {
	for {
		select {
		case <-d.life.hangups:
			d.hangup(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (d *daemon) hangup(ctx context.Context) {
	d.life.tell(notify.Reloading)
	defer d.life.tell(notify.Ready)
	d.reopenLog()
	if record := d.record.Load(); record != nil {
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

// reopenLog opens the log's file anew, or says that it cannot.
func (d *daemon) reopenLog() {
	if d.inForce.Load().LogFile == "" {
		return
	}
	if err := d.logFile.Reopen(); err != nil {
		d.log.Error("the log cannot be opened again; the file that is open stays in use", "error", err)
		return
	}
	d.log.Info("the log has been opened again")
}
