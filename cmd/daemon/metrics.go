package main

import (
	"crypto/tls"
	"errors"
	"strconv"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are the numbers that the daemon keeps for Prometheus and metrics-get. It is an Observer of the
// manager's. No label has a value that a peer can choose: such would fill the memory, here and there.
type metrics struct {
	registry *prometheus.Registry
	lag      lag
	restarts func() map[string]uint64 // of hooks, by name; nil: there are none

	unwritten func() int64 // lines that could not be written; nil: none

	commands  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	conns     *prometheus.GaugeVec
	received  prometheus.Counter
	sent      prometheus.Counter
	refusals  *prometheus.CounterVec
}

// newMetrics returns metrics. load is asked whenever somebody wants to see them.
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
		m.commands, m.durations, m.conns, m.received, m.sent, m.refusals, restarts{m},
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

// resultLabel is a result of the protocol's. A handler, and more so a hook library, may return any number.
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

// reasonLabel is one of a few words for why somebody was refused.
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

// restarts collects how often hooks were started again.
type restarts struct{ m *metrics }

var restartsDesc = prometheus.NewDesc("rudderpost_hook_restarts_total", "Starts of a hook after its first.", []string{"hook"}, nil)

// Describe implements prometheus.Collector.
func (r restarts) Describe(descs chan<- *prometheus.Desc) { descs <- restartsDesc }

// Collect implements prometheus.Collector.
func (r restarts) Collect(values chan<- prometheus.Metric) {
	if r.m.restarts == nil {
		return
	}
	for hook, n := range r.m.restarts() {
		values <- prometheus.MustNewConstMetric(restartsDesc, prometheus.CounterValue, float64(n), hook)
	}
}

// observers is an Observer that tells several.
type observers []mgr.Observer

// ConnOpened implements mgr.Observer.
func (all observers) ConnOpened(peer transport.Peer) {
	for _, o := range all {
		o.ConnOpened(peer)
	}
}

// ConnClosed implements mgr.Observer.
func (all observers) ConnClosed(peer transport.Peer) {
	for _, o := range all {
		o.ConnClosed(peer)
	}
}

// CallDone implements mgr.Observer.
func (all observers) CallDone(result mgr.CallResult) {
	for _, o := range all {
		o.CallDone(result)
	}
}
