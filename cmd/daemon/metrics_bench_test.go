package main

import (
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
)

// BenchmarkMetrics is what counting adds to a command, off the loop.
func BenchmarkMetrics(b *testing.B) {
	m := newMetrics(func() mgr.Load { return mgr.Load{} })
	outcome := mgr.Outcome{Peer: transport.Peer{Transport: "unix"}, Command: "version-get", Known: true, Duration: time.Millisecond, BytesIn: 30, BytesOut: 30}
	for b.Loop() {
		m.CallDone(outcome)
	}
}
