package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/rudderpost/rudderpost/internal/loglimit"
	"github.com/rudderpost/rudderpost/transport"
)

// A doorman records, counts and logs handshakes that did not become conns. A client can cause as many as it likes,
// so the lines are limited for each address.
type doorman struct {
	log     *slog.Logger
	record  *recorder // nil: nobody records
	metrics *metrics  // nil: nobody counts

	once  sync.Once
	lines loglimit.Limiter
}

// refused is told of a refusal.
func (d *doorman) refused(r transport.Refusal) {
	if d.record != nil && !r.Malformed { // a malformed request is no refused login
		d.record.Refused(r)
	}
	if d.metrics != nil {
		d.metrics.refused(r)
	}
	d.once.Do(func() {
		d.lines.Report = func(address string, lines int) {
			d.log.Warn("lines about refusals were left out", "address", address, "lines", lines)
		}
	})
	if !d.lines.Allow(network(r.Addr)) {
		return
	}
	from := "unknown"
	if r.Addr != nil {
		from = r.Addr.String()
	}
	d.log.LogAttrs(context.Background(), slog.LevelWarn, "refused",
		slog.String("transport", r.Transport), slog.String("from", from), slog.Any("claim", r.Claim), slog.Any("error", r.Err))
}

// network returns what the lines of an address are limited by: an IPv4 address, or the 64 bits of an IPv6 network.
func network(addr net.Addr) string {
	if addr == nil {
		return "unknown"
	}
	port, err := netip.ParseAddrPort(addr.String())
	ip := port.Addr()
	if err != nil {
		if ip, err = netip.ParseAddr(addr.String()); err != nil {
			return "unknown"
		}
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		prefix, _ := ip.Prefix(64) // every IPv6 address has 64 bits
		return prefix.String()
	}
	return ip.String()
}
