// Package notify reports the state of a daemon to systemd (sd_notify(3)). Without $NOTIFY_SOCKET the functions do
// nothing, so a daemon can call them however it was started. They ignore errors of the notification socket.
package notify

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready reports that the daemon can be used. Call it after the start and after each reload.
func Ready() { notify(daemon.SdNotifyReady) }

// Reloading reports that the daemon reads its configuration again. Ready must follow.
func Reloading() { notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec()) }

// Stopping reports that the daemon begins its shutdown.
func Stopping() { notify(daemon.SdNotifyStopping) }

func notify(state string) { _, _ = daemon.SdNotify(false, state) }

// Watchdog reports to the watchdog of systemd, twice in each WatchdogSec= of the unit, until ctx ends or the loop is
// closed. It reports only after a function that it posted to the daemon's loop has run, so systemd notices a loop that
// is stuck. Without a watchdog it returns at once.
func Watchdog(ctx context.Context, post func(func()) error) {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil || within <= 0 {
		return
	}
	tick := time.NewTicker(within / 2)
	defer tick.Stop()
	ran := make(chan struct{}, 1)
	for {
		if post(func() { ran <- struct{}{} }) != nil {
			return // the loop is closed
		}
		select {
		case <-ran:
			notify(daemon.SdNotifyWatchdog)
		case <-ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
