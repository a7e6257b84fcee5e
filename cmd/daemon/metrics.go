package main

import (
	"context"
	"crypto/tls"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics has the metrics for Prometheus and metrics-get. It is an Observer of the manager. A peer cannot choose the
// value of a label, because each value uses memory in the daemon and in Prometheus.
type metrics struct {
	registry     *prometheus.Registry
	lag          loopLag
	hookRestarts func() map[string]uint64 // by the name of the hook; nil: there are none

	unwritten func() int64 // lines that could not be written; nil: none

	commands  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	conns     *prometheus.GaugeVec
	received  prometheus.Counter
	sent      prometheus.Counter
	refusals  *prometheus.CounterVec
}

// newMetrics returns metrics. It calls load each time that the metrics are collected.
func newMetrics(load func() mgr.Stats) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rudderpost_commands_total",
			Help: "Commands that were answered, refused ones included; command=\"unknown\" stands for all that do not exist, result=\"other\" for the daemon's own results.",
		}, []string{"command", "result", "transport"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "rudderpost_command_duration_seconds",
			Help:    "Time from the arrival of a command to its reply's being encoded.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"command"}),
		conns: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rudderpost_conns",
			Help: "Conns that are open: sockets, streams over QUIC, requests over HTTP.",
		}, []string{"transport"}),
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rudderpost_received_bytes_total",
			Help: "Bytes of the commands that were answered.",
		}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rudderpost_sent_bytes_total",
			Help: "Bytes of replies.",
		}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rudderpost_refusals_total",
			Help: "Handshakes that did not become conns.",
		}, []string{"transport", "reason"}),
	}
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("rudderpost_queue_length", "Commands that wait for the loop.", func() float64 { return float64(load().Queued) })
	gauge("rudderpost_buffered_bytes", "Bytes of commands in flight and of replies that are not sent.", func() float64 { return float64(load().Buffered) })
	gauge("rudderpost_loop_lag_seconds", "How long a function waits for the loop, measured once a second.", m.lag.seconds)
	m.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "rudderpost_conns_refused_total",
			Help: "Conns that were refused for being too many, or since the daemon is stopping.",
		}, func() float64 { return float64(load().Refused) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "rudderpost_lines_unwritten_total",
			Help: "Lines of the log and of standard output that could not be written.",
		}, func() float64 {
			if m.unwritten == nil {
				return 0
			}
			return float64(m.unwritten())
		}),
		m.commands, m.durations, m.conns, m.received, m.sent, m.refusals, restartCollector{m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// ConnOpened implements mgr.Observer.
func (m *metrics) ConnOpened(peer transport.Peer) { m.conns.WithLabelValues(peer.Transport).Inc() }

// ConnClosed implements mgr.Observer.
func (m *metrics) ConnClosed(peer transport.Peer) { m.conns.WithLabelValues(peer.Transport).Dec() }

// CallDone implements mgr.Observer.
func (m *metrics) CallDone(result mgr.CallResult) {
	command := result.Name
	if result.Command == nil {
		command = "unknown"
	}
	m.commands.WithLabelValues(command, resultLabel(result.Code), result.Peer.Transport).Inc()
	m.durations.WithLabelValues(command).Observe(result.Duration.Seconds())
	m.received.Add(float64(result.BytesIn))
	m.sent.Add(float64(result.BytesOut))
}

// resultLabel returns the label of a result that the protocol defines, or "other". Handlers and hooks can return any
// number.
func resultLabel(code wire.Code) string {
	switch code {
	case wire.CodeSuccess, wire.CodeError, wire.CodeUnsupported, wire.CodeEmpty, wire.CodeConflict, wire.CodeFatal,
		wire.CodeUnauthenticated, wire.CodeForbidden, wire.CodeTimeout, wire.CodeTooMany, wire.CodeCancelled,
		wire.CodeInternal, wire.CodeShuttingDown:
		return strconv.Itoa(int(code))
	}
	return "other"
}

// refused counts a refusal.
func (m *metrics) refused(r transport.Refusal) {
	m.refusals.WithLabelValues(r.Transport, reasonLabel(r)).Inc()
}

// reasonLabel returns the reason of a refusal, from a fixed list.
func reasonLabel(r transport.Refusal) string {
	if _, slow := errors.AsType[*transport.SlowDownError](r.Err); slow {
		return "slow-down"
	}
	_, cert := errors.AsType[*tls.CertificateVerificationError](r.Err)
	switch {
	case r.Malformed:
		return "malformed"
	case cert, errors.Is(r.Err, tlsconf.ErrRevoked):
		return "certificate"
	case errors.Is(r.Err, transport.ErrNoCredentials):
		return "no-credentials"
	case r.Claim.User != "":
		return "password"
	case r.Claim.Token != "":
		return "token"
	}
	return "handshake"
}

// restartCollector collects the number of restarts of each hook.
type restartCollector struct{ m *metrics }

var restartsDesc = prometheus.NewDesc("rudderpost_hook_restarts_total", "Starts of a hook after its first.", []string{"hook"}, nil)

// Describe implements prometheus.Collector.
func (r restartCollector) Describe(descs chan<- *prometheus.Desc) { descs <- restartsDesc }

// Collect implements prometheus.Collector.
func (r restartCollector) Collect(values chan<- prometheus.Metric) {
	if r.m.hookRestarts == nil {
		return
	}
	for hook, n := range r.m.hookRestarts() {
		values <- prometheus.MustNewConstMetric(restartsDesc, prometheus.CounterValue, float64(n), hook)
	}
}

// multiObserver is an Observer that calls several Observers.
type multiObserver []mgr.Observer

// ConnOpened implements mgr.Observer.
func (all multiObserver) ConnOpened(peer transport.Peer) {
	for _, o := range all {
		o.ConnOpened(peer)
	}
}

// ConnClosed implements mgr.Observer.
func (all multiObserver) ConnClosed(peer transport.Peer) {
	for _, o := range all {
		o.ConnClosed(peer)
	}
}

// CallDone implements mgr.Observer.
func (all multiObserver) CallDone(result mgr.CallResult) {
	for _, o := range all {
		o.CallDone(result)
	}
}

// loopLag measures how long a function waits for the loop.
type loopLag struct {
	mu           sync.Mutex
	last         time.Duration
	pendingSince time.Time // the time at which the waiting function was posted; zero: none waits
}

// lagInterval is the time between two samples.
const lagInterval = time.Second

// measure takes samples until ctx ends or post fails.
func (l *loopLag) measure(ctx context.Context, post func(func()) error) {
	tick := time.NewTicker(lagInterval)
	defer tick.Stop()
	for {
		if l.startSample() && post(l.finishSample) != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// startSample starts a sample, and returns false if the function of the last one still waits.
func (l *loopLag) startSample() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.pendingSince.IsZero() {
		return false
	}
	l.pendingSince = time.Now()
	return true
}

// finishSample ends a sample. It runs on the loop.
func (l *loopLag) finishSample() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.pendingSince = time.Since(l.pendingSince), time.Time{}
}

// seconds returns the last sample, or the age of the current one if that is more. So a stuck loop shows a growing lag.
func (l *loopLag) seconds() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pendingSince.IsZero() {
		return l.last.Seconds()
	}
	return max(l.last, time.Since(l.pendingSince)).Seconds()
}
