package main

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"github.com/rudderpost/rudderpost/mgr"

	dto "github.com/prometheus/client_model/go"
)

// command returns metrics-get. It runs beside the loop: some numbers are the kernel's, and are read from
// files.
func (m *metrics) command() mgr.Command {
	return mgr.Async("metrics-get", "Return what /metrics has for Prometheus: counters, gauges and histograms.", mgr.Read, m.get,
		mgr.Example(`{}`), mgr.Example(`{"prefix":"rudderpost_commands"}`))
}

type metricsIn struct {
	Prefix string `json:"prefix,omitzero" doc:"Only those whose names begin so."`
}

// A family is what has one name: a metric for each combination of its labels.
type family struct {
	Name    string   `json:"name"`
	Help    string   `json:"help"`
	Type    string   `json:"type" schema:"enum=counter|gauge|histogram|summary|untyped"`
	Metrics []metric `json:"metrics"`
}

// A metric has a value, or, in a histogram or a summary, a count and a sum.
type metric struct {
	Labels    map[string]string `json:"labels,omitempty"`
	Value     *float64          `json:"value,omitempty" doc:"Missing: it is no number, or has more than 64 bits."`
	Count     *int64            `json:"count,omitempty"`
	Sum       *float64          `json:"sum,omitempty"`
	Buckets   []bucket          `json:"buckets,omitempty"`
	Quantiles []quantile        `json:"quantiles,omitempty"`
}

type bucket struct {
	Most  float64 `json:"le" doc:"The largest value that counts."`
	Count int64   `json:"count" doc:"How many there were, smaller ones included. The metric's count is that of all."`
}

type quantile struct {
	Quantile float64  `json:"quantile"`
	Value    *float64 `json:"value,omitempty"`
}

func (m *metrics) get(_ context.Context, in metricsIn) ([]family, error) {
	gathered, err := m.registry.Gather()
	if err != nil {
		return nil, err
	}
	families := []family{}
	for _, f := range gathered {
		if !strings.HasPrefix(f.GetName(), in.Prefix) {
			continue
		}
		one := family{Name: f.GetName(), Help: f.GetHelp(), Type: strings.ToLower(f.GetType().String())}
		for _, value := range f.GetMetric() {
			one.Metrics = append(one.Metrics, metricOf(value))
		}
		families = append(families, one)
	}
	slices.SortFunc(families, func(a, b family) int { return cmp.Compare(a.Name, b.Name) })
	return families, nil
}

// metricOf makes a metric of the client library's.
func metricOf(value *dto.Metric) (m metric) {
	for _, label := range value.GetLabel() {
		if m.Labels == nil {
			m.Labels = map[string]string{}
		}
		m.Labels[label.GetName()] = label.GetValue()
	}
	switch {
	case value.Counter != nil:
		m.Value = number(value.Counter.GetValue())
	case value.Gauge != nil:
		m.Value = number(value.Gauge.GetValue())
	case value.Untyped != nil:
		m.Value = number(value.Untyped.GetValue())
	case value.Histogram != nil:
		h := value.Histogram
		m.Count, m.Sum = count(h.GetSampleCount()), number(h.GetSampleSum())
		for _, b := range h.GetBucket() {
			if !math.IsInf(b.GetUpperBound(), 0) {
				m.Buckets = append(m.Buckets, bucket{b.GetUpperBound(), *count(b.GetCumulativeCount())})
			}
		}
	case value.Summary != nil:
		s := value.Summary
		m.Count, m.Sum = count(s.GetSampleCount()), number(s.GetSampleSum())
		for _, q := range s.GetQuantile() {
			m.Quantiles = append(m.Quantiles, quantile{q.GetQuantile(), number(q.GetValue())})
		}
	}
	return m
}

// number is nothing where there is none that all of our clients can read: those written without a point
// have 64 bits. Beyond it are limits that stand for no limit.
func number(f float64) *float64 {
	if math.IsNaN(f) || math.Abs(f) >= 1<<63 {
		return nil
	}
	return &f
}

// count keeps within what JSON's readers take for an integer.
func count(n uint64) *int64 {
	c := int64(min(n, math.MaxInt64))
	return &c
}
