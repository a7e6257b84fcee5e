// Package notify tells systemd how a daemon is doing (sd_notify(3)). Where nobody wants to know, which is
// so without $NOTIFY_SOCKET, nothing happens: a daemon need not ask how it was started. That it could
// not be told is no reason to do anything else either, so that nothing here fails.
package notify

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready tells that the daemon can be used: after its start, and after each reload.
func Ready() { tell(daemon.SdNotifyReady) }

// Reloading tells that the daemon has begun to read its configuration again. Ready must follow.
func Reloading() { tell(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec()) }

// Stopping tells that the daemon has begun to end.
func Stopping() { tell(daemon.SdNotifyStopping) }

func tell(state string) { _, _ = daemon.SdNotify(false, state) }

// Watchdog tells, until ctx ends, that the daemon lives, as often as its unit wants to hear that
// (WatchdogSec=): twice in that time. It does so only when a function that it has posted to the daemon's
// loop has run, so that a loop that is stuck is noticed. Where nobody wants to know it returns at once.
func Watchdog(ctx context.Context, post func(func()) error) {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil || within <= 0 {
		return
	}
	tick := time.NewTicker(within / 2)
	defer tick.Stop()
	turned := make(chan struct{}, 1)
	for {
		if post(func() { turned <- struct{}{} }) != nil {
			return // the loop is closed, and the daemon about to end
		}
		select {
		case <-turned:
			tell(daemon.SdNotifyWatchdog)
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
