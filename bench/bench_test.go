package main

import (
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A run starts the test program again as its servers and clients.
func TestMain(m *testing.M) {
	if os.Getenv(partVariable) != "" {
		os.Exit(part(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// One small round has both kinds of clients and every kind of work.
func TestSmallRunWritesItsReport(t *testing.T) {
	o := &options{
		only:   `^(rudderpost-(unix|ws)@(1|deep-16|each-16|64K-16|mixed|idle)|rudderpost-tls(-resumed)?@each-16|net/rpc/jsonrpc@16|rudderpost-quic-stream@mixed)$`,
		rounds: 1, idle: 50, window: 100 * time.Millisecond, out: t.TempDir(), check: true,
	}
	report := runFor(t, o)
	require.Contains(t, report, "| rudderpost-unix | raw | ")
	for _, name := range []string{"throughput.svg", "memory.svg", "results.json"} {
		require.FileExists(t, o.out+"/"+name)
	}
}

// Each contestant that is installed serves its client.
func TestEachInstalledContestantIsMeasured(t *testing.T) {
	report := runFor(t, &options{only: `@1$|^(kea|.*tls-(default|resumed))@each-1$`, rounds: 1, window: 20 * time.Millisecond, out: t.TempDir()})
	for _, c := range contestants {
		if !strings.Contains(report, c.name+" is not installed") {
			require.Contains(t, report, "| "+c.name+" | ")
		}
	}
}

func runFor(t *testing.T, o *options) (report string) {
	t.Helper()
	code, err := run(o)
	require.NoError(t, err)
	require.Contains(t, []int{0, 2}, code, "so short a run cannot tell whether a goal is reached")
	text, err := os.ReadFile(o.out + "/report.md")
	require.NoError(t, err)
	require.NotRegexp(t, "(?m)^\\* round", string(text), "what went wrong")
	return string(text)
}

// Each contestant has a floor that does the same works, with the same kind of client.
func TestFloorDoesTheWorksOfItsContestant(t *testing.T) {
	for _, c := range contestants {
		if c.floor == "" {
			continue
		}
		floor, err := contestantNamed(c.floor)
		require.NoError(t, err)
		require.Equal(t, floor.wire.raw(), c.wire.raw(), c.name)
		for _, w := range works {
			require.True(t, !c.does(w) || floor.does(w), "%s at %s", c.name, w.Name)
		}
	}
}

// A run without -only measures both sides of each goal in all rounds.
func TestFullRunMeasuresAllGoals(t *testing.T) {
	p, err := planFor(&options{rounds: 15, others: 5})
	require.NoError(t, err)
	require.True(t, p.sizes)
	require.Len(t, p.goals, len(goals))
	rounds := map[string]int{}
	for _, task := range p.tasks {
		rounds[task.name()] = task.rounds
	}
	for _, g := range goals {
		if g.work == sizeWork {
			continue
		}
		require.Equal(t, 15, rounds[g.contestant+"@"+g.work], g.name)
		require.True(t, g.against == "" || rounds[g.against+"@"+g.work] == 15, g.name)
	}
	require.Equal(t, 5, rounds["net/rpc/jsonrpc@16"])
}

// A goal is missed if even the better end of its interval is on the wrong side.
func TestGoalIsMissedIfItsIntervalIsOnTheWrongSide(t *testing.T) {
	found := results{"16": {"a": nil, "b": nil}}
	for i := range 15 {
		found["16"]["a"] = append(found["16"]["a"], result{Commands: float64(100 + i), Seconds: 1, Latency: [3]float64{1, 2, 3}})
		found["16"]["b"] = append(found["16"]["b"], result{Commands: 100, Seconds: 1, Latency: [3]float64{1, 1, 1}})
	}
	found["16"]["b"][3].Seconds = 0 // a failed measurement, whose round does not count
	for _, row := range []struct {
		metric metric
		figure float64
		missed bool
	}{{byRate, 1, false}, {byRate, 1.1, false}, {byRate, 1.2, true}, {byP99, 2, false}, {byP99, 1.9, true}} {
		v := goal{work: "16", contestant: "a", metric: row.metric, against: "b", figure: row.figure}.judge(found)
		require.Equal(t, row.missed, v.missed, "%s %v", row.metric.name, row.figure)
		require.Len(t, v.sample, 14)
	}
}

func TestIntervalHasTheMedianWith95Percent(t *testing.T) {
	for _, row := range []struct {
		rounds    int
		low, high float64
	}{{1, 1, 1}, {5, 1, 5}, {6, 1, 6}, {8, 1, 8}, {9, 2, 8}, {12, 3, 10}, {20, 6, 15}} {
		var s sample
		for i := range row.rounds {
			s = append(s, float64(i+1))
		}
		rand.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
		low, high := s.interval()
		require.Equal(t, []float64{row.low, row.high}, []float64{low, high}, "%d rounds", row.rounds)
		require.Equal(t, float64(row.rounds+1)/2, s.median())
	}
}

func TestQuantilesOfAHistogramAreWithinTwoPercent(t *testing.T) {
	var h, other histogram
	for i := range int64(1000) {
		h.add(i * 1000)
	}
	h.merge(&other)
	for i, want := range []float64{500e-6, 990e-6, 999e-6} {
		require.InEpsilon(t, want, h.quantiles()[i], 0.02)
	}
	for _, n := range []uint64{0, 1, 63, 64, 127, 128, 1 << 20, 1<<40 + 12345, math.MaxInt64} {
		require.LessOrEqual(t, least(bucket(n)), n)
		require.InDelta(t, float64(n), float64(least(bucket(n))), float64(n)/parts)
	}
}
