package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// This checkout is the base too, so the test builds it twice.
func TestTwoBuildsAreMeasuredInTurns(t *testing.T) {
	o := &options{base: "..", only: `^(rudderpost-(unix|unix-client)@1|rudderpost-unix@idle|floor-unix@1|stripped greeter.*)$`, rounds: 2, idle: 20, window: 20 * time.Millisecond, out: t.TempDir()}
	code, err := run(o)
	require.NoError(t, err)
	require.Zero(t, code)
	text, err := os.ReadFile(o.out + "/report.md")
	require.NoError(t, err)
	for _, line := range []string{
		"rudderpost-unix@1 | rate 1/s", "rudderpost-unix@1 | server CPU µs", "rudderpost-unix@1 | p99 µs", "rudderpost-unix@1 | allocations",
		"rudderpost-unix-client@1 | rate 1/s", "rudderpost-unix@idle | memory MiB", "greeter | size MiB",
	} {
		require.Regexp(t, `(?m)^\| [a-z* ]+ \| `+line+` \| [\d.k]+ \| [\d.k]+ \| \d+\.\d+ \| \d+\.\d+–\d+\.\d+ \| [12] \|$`, string(text))
	}
	require.NotContains(t, string(text), "floor-unix", "floors are the same in both builds")
	require.NotContains(t, string(text), "What went wrong")
	require.FileExists(t, o.out+"/results.json")
}

func TestChangeOutsideTheIntervalIsReported(t *testing.T) {
	w := work{Name: "16"}
	tasks := []task{{contestant: contestant{name: "a"}, work: w}}
	for name, test := range map[string]struct {
		rate, cpu float64 // of the new build, relative to the base
		want      []string
		good      bool
	}{
		"equal":  {1, 1, []string{"noise", "noise"}, true},
		"faster": {1.1, 0.9, []string{"better", "better"}, true},
		"slower": {0.9, 1.1, []string{worse, worse}, false},
	} {
		t.Run(name, func(t *testing.T) {
			found := results{"16": {}}
			for i := range 15 {
				noise := 1 + float64(i-7)/1000
				at := func(rate, cpu float64) result {
					return result{Commands: 1000 * rate, Seconds: 1, CPU: cpu * 1000 * rate, Latency: [3]float64{1, 1, 1}, Allocs: -1}
				}
				found["16"][baseName("a")] = append(found["16"][baseName("a")], at(1, 1))
				found["16"]["a"] = append(found["16"]["a"], at(test.rate*noise, test.cpu*noise))
			}
			all := found.comparisons(tasks)
			require.Len(t, all, 3, "the server does not count its allocations")
			require.Equal(t, test.want, []string{all[0].change(), all[1].change()})
			require.Equal(t, "noise", all[2].change())
			require.InDelta(t, test.rate, all[0].ratio, 0.001)
			var out bytes.Buffer
			require.Equal(t, test.good, reportBuilds(&out, all))
			require.Contains(t, out.String(), "| a@16 | rate 1/s | 1.0k | ")
		})
	}
}
