package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// A doorman logs handshakes that did not become conns: so many a second, and how many more there
// were, since strangers may knock as often as they like.
type doorman struct {
	log     *slog.Logger
	record  *recorder // nil: nobody records
	metrics *metrics  // nil: nobody counts

	mu     sync.Mutex
	second time.Time
	told   int
	untold int
}

// mostTold is how many refusals a second get a line each.
const mostTold = 10

// refused is told of a refusal.
func (d *doorman) refused(r transport.Refusal) {
	if d.record != nil {
		d.record.Refused(r)
	}
	if d.metrics != nil {
		d.metrics.refused(r)
	}
	untold, tell := d.count(time.Now())
	if untold > 0 {
		d.log.Warn("more were refused", "count", untold)
	}
	if !tell {
		return
	}
	from := "unknown"
	if r.Addr != nil {
		from = r.Addr.String()
	}
	d.log.LogAttrs(context.Background(), slog.LevelWarn, "refused",
		slog.String("transport", r.Transport), slog.String("from", from), slog.Any("claim", r.Claim), slog.Any("error", r.Err))
}

// count counts a refusal. It says whether there is a line for it, and, in a new second, how many had
// none before.
func (d *doorman) count(now time.Time) (untold int, tell bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.second) >= time.Second {
		untold, d.untold = d.untold, 0
		d.second, d.told = now, 0
	}
	if d.told == mostTold {
		d.untold++
		return untold, false
	}
	d.told++
	return untold, true
}
