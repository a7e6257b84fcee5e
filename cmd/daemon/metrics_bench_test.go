package main

import (
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
)

// BenchmarkMetrics measures the time that the metrics add to a command, off the loop.
func BenchmarkMetrics(b *testing.B) {
	m := newMetrics(func() mgr.Stats { return mgr.Stats{} })
	call := &mgr.Call{Peer: transport.Peer{Transport: "unix"}, Name: "version-get", Command: &mgr.Command{}}
	result := mgr.CallResult{Call: call, Duration: time.Millisecond, BytesIn: 30, BytesOut: 30}
	for b.Loop() {
		m.CallDone(result)
	}
}
