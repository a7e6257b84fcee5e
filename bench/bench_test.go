package main

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The processes of a run are this program again, which is the test here.
func TestMain(m *testing.M) {
	if os.Getenv(partVariable) != "" {
		os.Exit(part(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// A tiny round, once through all that a run does: both kinds of clients, and every kind of work.
func TestSmoke(t *testing.T) {
	o := &options{
		contestants: "rudderpost-unix,rudderpost-tls,rudderpost-ws,net/rpc/jsonrpc",
		works:       "1,deep-16,each-16,idle",
		rounds:      1, idle: 50, window: 300 * time.Millisecond, out: t.TempDir(), check: true,
	}
	code, err := run(o)
	require.NoError(t, err)
	require.Contains(t, []int{0, 2}, code, "nobody can tell from so little whether a goal is reached")
	report, err := os.ReadFile(o.out + "/report.md")
	require.NoError(t, err)
	require.NotContains(t, string(report), "What went wrong")
	require.Contains(t, string(report), "| rudderpost-unix | raw | ")
	for _, name := range []string{"throughput.svg", "memory.svg", "results.json"} {
		require.FileExists(t, o.out+"/"+name)
	}
}

// Every contestant is divided by one that does whatever it does, with the same kind of client.
func TestFloors(t *testing.T) {
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

// Every goal is about what there is, and about what it can do.
func TestGoals(t *testing.T) {
	for _, g := range goals {
		i := slices.IndexFunc(works, func(w work) bool { return w.Name == g.work })
		require.NotEqual(t, -1, i, g.name)
		for _, name := range []string{g.contestant, g.against} {
			if name == "" {
				continue
			}
			c, err := contestantNamed(name)
			require.NoError(t, err)
			require.True(t, c.does(works[i]), "%s: %s", g.name, name)
		}
	}
}

func TestInterval(t *testing.T) {
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

func TestHistogram(t *testing.T) {
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
