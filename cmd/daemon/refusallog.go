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

// A refusalLog records, counts and logs handshakes that did not become conns. A client can cause any number of them, so
// the log lines are limited for each address.
type refusalLog struct {
	log      *slog.Logger
	recorder *auditSwitch // nil: no record
	metrics  *metrics     // nil: no metrics

	once    sync.Once
	limiter loglimit.Limiter
}

// onRefused handles a refusal. Its calls may be concurrent.
func (d *refusalLog) onRefused(r transport.Refusal) {
	if d.recorder != nil && !r.Malformed { // a malformed request is not a failed login
		d.recorder.Refused(r)
	}
	if d.metrics != nil {
		d.metrics.refused(r)
	}
	d.once.Do(func() {
		d.limiter.Report = func(address string, lines int) {
			d.log.Warn("lines about refusals were left out", "address", address, "lines", lines)
		}
	})
	if !d.limiter.Allow(limitKey(r.Addr)) {
		return
	}
	from := "unknown"
	if r.Addr != nil {
		from = r.Addr.String()
	}
	d.log.LogAttrs(context.Background(), slog.LevelWarn, "refused",
		slog.String("transport", r.Transport), slog.String("from", from), slog.Any("claim", r.Claim), slog.Any("error", r.Err))
}

// limitKey returns the key of the line limit for an address: the IPv4 address, or the /64 network of an IPv6 address.
func limitKey(addr net.Addr) string {
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
