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

// command returns metrics-get. It is async, because some values are read from files of the kernel.
func (m *metrics) command() mgr.Command {
	return mgr.Async("metrics-get", "Return what /metrics has for Prometheus: counters, gauges and histograms.", mgr.Read, m.get,
		mgr.Example(`{}`), mgr.Example(`{"prefix":"rudderpost_commands"}`))
}

type metricsArgs struct {
	Prefix string `json:"prefix,omitzero" doc:"Only those whose names begin so."`
}

// A metricFamily has all metrics with one name: one for each combination of labels.
type metricFamily struct {
	Name    string        `json:"name"`
	Help    string        `json:"help"`
	Type    string        `json:"type" schema:"enum=counter|gauge|histogram|summary|untyped"`
	Metrics []metricValue `json:"metrics"`
}

// A metricValue has a value, or, for a histogram or a summary, a count and a sum.
type metricValue struct {
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

func (m *metrics) get(_ context.Context, in metricsArgs) ([]metricFamily, error) {
	gathered, err := m.registry.Gather()
	if err != nil {
		return nil, err
	}
	families := []metricFamily{}
	for _, f := range gathered {
		if !strings.HasPrefix(f.GetName(), in.Prefix) {
			continue
		}
		one := metricFamily{Name: f.GetName(), Help: f.GetHelp(), Type: strings.ToLower(f.GetType().String())}
		for _, value := range f.GetMetric() {
			one.Metrics = append(one.Metrics, metricOf(value))
		}
		families = append(families, one)
	}
	slices.SortFunc(families, func(a, b metricFamily) int { return cmp.Compare(a.Name, b.Name) })
	return families, nil
}

// metricOf converts a metric of the client library.
func metricOf(value *dto.Metric) (m metricValue) {
	for _, label := range value.GetLabel() {
		if m.Labels == nil {
			m.Labels = map[string]string{}
		}
		m.Labels[label.GetName()] = label.GetValue()
	}
	switch {
	case value.Counter != nil:
		m.Value = finiteOrNil(value.Counter.GetValue())
	case value.Gauge != nil:
		m.Value = finiteOrNil(value.Gauge.GetValue())
	case value.Untyped != nil:
		m.Value = finiteOrNil(value.Untyped.GetValue())
	case value.Histogram != nil:
		h := value.Histogram
		m.Count, m.Sum = clampCount(h.GetSampleCount()), finiteOrNil(h.GetSampleSum())
		for _, b := range h.GetBucket() {
			if !math.IsInf(b.GetUpperBound(), 0) {
				m.Buckets = append(m.Buckets, bucket{b.GetUpperBound(), *clampCount(b.GetCumulativeCount())})
			}
		}
	case value.Summary != nil:
		s := value.Summary
		m.Count, m.Sum = clampCount(s.GetSampleCount()), finiteOrNil(s.GetSampleSum())
		for _, q := range s.GetQuantile() {
			m.Quantiles = append(m.Quantiles, quantile{q.GetQuantile(), finiteOrNil(q.GetValue())})
		}
	}
	return m
}

// finiteOrNil returns nil for NaN, and for values of 2^63 and above. Some JSON readers take such a number, which is
// written without a point, for an integer of 64 bits. Limits of the system that mean "no limit" have such values.
func finiteOrNil(f float64) *float64 {
	if math.IsNaN(f) || math.Abs(f) >= 1<<63 {
		return nil
	}
	return &f
}

// clampCount returns n, or the largest int64 if n is larger.
func clampCount(n uint64) *int64 {
	c := int64(min(n, math.MaxInt64))
	return &c
}
