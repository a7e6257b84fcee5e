package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/rudderpost/rudderpost/cmd/internal/notify"
)

// A life is what goes on beside the manager, as long as the daemon lives.
type life struct {
	hangups chan os.Signal
	server  *metricsServer // nil: metrics are for metrics-get only
	all     sync.WaitGroup
	end     context.CancelFunc
}

// hearHangups makes SIGHUP wait for begin, instead of ending the process.
func (l *life) hearHangups() {
	l.hangups = make(chan os.Signal, 1)
	signal.Notify(l.hangups, syscall.SIGHUP)
}

// begin opens all ways in, starts what goes on beside the manager, and says that the daemon is ready.
// Until ctx ends it is; then it is stopping.
func (d *daemon) begin(ctx context.Context, stdout io.Writer) error {
	if err := d.open(ctx, stdout); err != nil {
		return err
	}
	server, err := d.config.Metrics.open(d.metrics, stdout)
	if err != nil {
		return err
	}
	life, end := context.WithCancel(context.Background()) // through the drain, too
	d.life.server, d.life.end = server, end
	d.life.all.Go(func() { d.followHangups(life) })
	d.life.all.Go(func() { notify.Watchdog(life, d.manager.Post) })
	d.life.all.Go(func() { d.metrics.lag.measure(life, d.manager.Post) })
	notify.Ready()
	context.AfterFunc(ctx, notify.Stopping)
	return nil
}

// rest ends what begin has started.
func (d *daemon) rest() {
	if d.life.end != nil {
		d.life.end()
	}
	d.life.all.Wait()
	d.life.server.close()
	signal.Stop(d.life.hangups)
}

// followHangups does what SIGHUP asks for.
func (d *daemon) followHangups(ctx context.Context) {
	for {
		select {
		case <-d.life.hangups:
			d.reopenLog()
		case <-ctx.Done():
			return
		}
	}
}

// reopenLog opens the log's file anew, or says that it cannot.
func (d *daemon) reopenLog() {
	if d.config.LogFile == "" {
		d.log.Debug("there is no log-file that could be opened again")
		return
	}
	if err := d.logFile.Reopen(); err != nil {
		d.log.Error("the log cannot be opened again; the file that is open stays in use", "error", err)
		return
	}
	d.log.Info("the log has been opened again")
}
