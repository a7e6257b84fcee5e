package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// metricsURL waits until the daemon has printed the URL of its metrics, and returns it.
func (p *process) metricsURL() (url string) {
	p.t.Helper()
	testkit.Eventually(p.t, func() bool {
		_, rest, _ := strings.Cut(p.Out.String(), "metrics for Prometheus are at ")
		line, _, whole := strings.Cut(rest, "\n")
		url = line
		return whole
	}, "the daemon does not print the URL of its metrics")
	return url
}

// httpGet sends an HTTP request, and returns the status and the body.
func httpGet(t *testing.T, method, url, host string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	r.Host, r.Close = host, true
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}

const withMetrics = oneSocket + "[metrics]\nlisten = \"127.0.0.1:0\"\nallow-hosts = [\"metrics.example\"]\n"

// Prometheus can read the metrics, and promtool accepts them.
func TestMetricsForPrometheus(t *testing.T) {
	p := startIn(t, testkit.ShortDir(t), withMetrics)
	url := p.metricsURL()
	for _, command := range []string{"version-get", "version-get", "no-such", "nor-such", "statistic-reset"} {
		p.command(command, "")
	}
	p.exchange("x")
	var text string
	testkit.Eventually(t, func() bool {
		status, body := httpGet(t, "GET", url, "")
		require.Equal(t, http.StatusOK, status)
		text = body
		return strings.Contains(body, `rudderpost_commands_total{command="unknown",result="1",transport="unix"} 1`) &&
			strings.Contains(body, `rudderpost_conns{transport="unix"} 0`)
	}, "the last command is not counted, or its conn is still open")
	for _, line := range []string{
		`rudderpost_commands_total{command="version-get",result="0",transport="unix"} 2`,
		`rudderpost_commands_total{command="unknown",result="2",transport="unix"} 2`,
		`rudderpost_commands_total{command="statistic-reset",result="1",transport="unix"} 1`,
		`rudderpost_command_duration_seconds_count{command="version-get"} 2`,
		`rudderpost_command_duration_seconds_bucket{command="version-get",le="10"} 2`,
		`rudderpost_conns{transport="unix"} 0`,
		`rudderpost_queue_length 0`,
		`rudderpost_conns_refused_total 0`,
	} {
		require.Contains(t, text, line+"\n")
	}
	for _, name := range []string{"rudderpost_received_bytes_total ", "rudderpost_sent_bytes_total ", "rudderpost_loop_lag_seconds ", "go_goroutines ", "process_open_fds "} {
		require.Contains(t, text, "\n"+name)
	}
	require.NotContains(t, text, "such", "a label has text of a peer")
	promtool(t, text)
	p.stop()
	require.NotContains(t, p.Out.String()+p.Err.String(), "panic")
}

// promtool checks metrics with the program of Prometheus.
func promtool(t *testing.T, text string) {
	t.Helper()
	cmd := exec.Command(testkit.NeedProgram(t, "promtool", "prometheus"), "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
}

// The metrics are served only with an allowed Host header, and only at their path.
func TestMetricsCheckHostAndPath(t *testing.T) {
	p := startIn(t, testkit.ShortDir(t), withMetrics)
	url := p.metricsURL()
	for _, test := range []struct {
		method, path, host string
		want               int
	}{
		{"GET", "/metrics", "", 200},
		{"HEAD", "/metrics", "", 200},
		{"GET", "/metrics", "localhost:1", 200},
		{"GET", "/metrics", "LocalHost", 200},
		{"GET", "/metrics", "[::1]:80", 200},
		{"GET", "/metrics", "metrics.example:80", 200},
		{"GET", "/metrics", "evil.example", 403},
		{"GET", "/metrics", "127.0.0.1.evil.example", 403},
		{"GET", "/metrics", "metrics.example.evil.example", 403},
		{"POST", "/metrics", "", 405},
		{"GET", "/", "", 404},
		{"GET", "/metrics/x", "", 404},
		{"GET", "/debug/pprof/", "", 404},
	} {
		status, _ := httpGet(t, test.method, strings.TrimSuffix(url, "/metrics")+test.path, test.host)
		require.Equal(t, test.want, status, "%v", test)
	}
	p.stop()
}

// metrics-get returns the same metrics as /metrics.
func TestMetricsGetReturnsTheSameMetrics(t *testing.T) {
	p := startIn(t, testkit.ShortDir(t), oneSocket)
	p.command("version-get", "")
	type value struct {
		Labels  map[string]string
		Value   *float64
		Count   *int64
		Sum     *float64
		Buckets []struct {
			Le    float64
			Count int64
		}
	}
	type family struct {
		Name, Help, Type string
		Metrics          []value
	}
	ask := func(arguments string) (byName map[string]family) {
		reply := p.command("metrics-get", arguments)
		require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
		var families []family
		require.NoError(t, json.Unmarshal(reply.Arguments.(wire.Value), &families, json.MatchCaseInsensitiveNames(true)))
		byName = map[string]family{}
		for _, f := range families {
			byName[f.Name] = f
		}
		return byName
	}
	var all map[string]family
	testkit.Eventually(t, func() bool {
		all = ask(`{"prefix":"rudderpost_"}`)
		return len(all["rudderpost_commands_total"].Metrics) > 0
	}, "the command is not counted")
	commands := all["rudderpost_commands_total"]
	require.Equal(t, "counter", commands.Type)
	require.Contains(t, commands.Help, "Commands that were answered")
	require.Equal(t, map[string]string{"command": "version-get", "result": "0", "transport": "unix"}, commands.Metrics[len(commands.Metrics)-1].Labels)
	require.Equal(t, 1.0, *commands.Metrics[len(commands.Metrics)-1].Value)
	durations := all["rudderpost_command_duration_seconds"]
	require.Equal(t, "histogram", durations.Type)
	require.Len(t, durations.Metrics[0].Buckets, 16)
	require.Equal(t, *durations.Metrics[0].Count, durations.Metrics[0].Buckets[15].Count)
	require.Contains(t, all, "rudderpost_loop_lag_seconds")
	require.NotContains(t, all, "go_goroutines")
	require.Contains(t, ask(""), "go_goroutines")
	p.stop()
}

// Names and results that peers and handlers choose do not create new labels.
func TestMetricLabelsAreBounded(t *testing.T) {
	m := newMetrics(func() mgr.Stats { return mgr.Stats{Queued: 7, Buffered: 9, Refused: 3} })
	m.hookRestarts = func() map[string]uint64 { return map[string]uint64{"backup": 2} }
	var all mgr.Observer = multiObserver{m}
	peer := transport.Peer{Transport: "tls"}
	for i := range 1000 {
		all.ConnOpened(peer)
		all.CallDone(mgr.CallResult{Call: &mgr.Call{Peer: peer, Name: fmt.Sprint("unknown-", i)}, Code: wire.CodeUnsupported})
		all.CallDone(mgr.CallResult{Call: &mgr.Call{Peer: peer, Name: "ours", Command: &mgr.Command{}}, Code: wire.Code(1000 + i), BytesIn: 2, BytesOut: 3})
		m.refused(transport.Refusal{Transport: "wss", Err: fmt.Errorf("refused %d", i)})
	}
	all.ConnClosed(peer)
	for r, reason := range map[*transport.Refusal]string{
		{Err: &transport.SlowDownError{}, Claim: transport.Claim{User: "ann"}}:        "slow-down",
		{Err: transport.ErrNoCredentials}:                                             "no-credentials",
		{Err: transport.ErrWrongCredentials, Claim: transport.Claim{User: "ann"}}:     "password",
		{Err: transport.ErrWrongCredentials, Claim: transport.Claim{Token: "secret"}}: "token",
		{Err: errors.New("no TLS")}:                                                   "handshake",
		{Err: errors.New("no frame"), Malformed: true}:                                "malformed",
	} {
		require.Equal(t, reason, reasonLabel(*r))
	}
	require.NoError(t, testutil.GatherAndCompare(m.registry, strings.NewReader(`
# HELP rudderpost_commands_total Commands that were answered, refused ones included; command="unknown" stands for all that do not exist, result="other" for the daemon's own results.
# TYPE rudderpost_commands_total counter
rudderpost_commands_total{command="ours",result="other",transport="tls"} 1000
rudderpost_commands_total{command="unknown",result="2",transport="tls"} 1000
# HELP rudderpost_conns Conns that are open: sockets, streams over QUIC, requests over HTTP.
# TYPE rudderpost_conns gauge
rudderpost_conns{transport="tls"} 999
# HELP rudderpost_conns_refused_total Conns that were refused for being too many, or since the daemon is stopping.
# TYPE rudderpost_conns_refused_total counter
rudderpost_conns_refused_total 3
# HELP rudderpost_hook_restarts_total Starts of a hook after its first.
# TYPE rudderpost_hook_restarts_total counter
rudderpost_hook_restarts_total{hook="backup"} 2
# HELP rudderpost_queue_length Commands that wait for the loop.
# TYPE rudderpost_queue_length gauge
rudderpost_queue_length 7
# HELP rudderpost_received_bytes_total Bytes of the commands that were answered.
# TYPE rudderpost_received_bytes_total counter
rudderpost_received_bytes_total 2000
# HELP rudderpost_refusals_total Handshakes that did not become conns.
# TYPE rudderpost_refusals_total counter
rudderpost_refusals_total{reason="handshake",transport="wss"} 1000
# HELP rudderpost_sent_bytes_total Bytes of replies.
# TYPE rudderpost_sent_bytes_total counter
rudderpost_sent_bytes_total 3000
`), "rudderpost_commands_total", "rudderpost_conns", "rudderpost_conns_refused_total", "rudderpost_hook_restarts_total", "rudderpost_queue_length",
		"rudderpost_received_bytes_total", "rudderpost_refusals_total", "rudderpost_sent_bytes_total"))
}

// The lag is the time that a function waits for the loop, or, for a stuck loop, the time that it has waited so far.
func TestLoopLagOfStuckLoopGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loopLag
		looped := loop.New()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			l.measure(t.Context(), looped.Post)
		}()
		at := func(want time.Duration) {
			t.Helper()
			synctest.Wait()
			require.Equal(t, want.Seconds(), l.seconds())
		}
		at(0)
		time.Sleep(30 * time.Millisecond)
		at(30 * time.Millisecond)
		require.Equal(t, 1, looped.Poll())
		at(30 * time.Millisecond)
		time.Sleep(970 * time.Millisecond) // the next sample is posted, and runs at once
		synctest.Wait()
		require.Equal(t, 1, looped.Poll())
		at(0)
		time.Sleep(61 * time.Second)
		at(60 * time.Second)
		require.Equal(t, 1, looped.Poll(), "only one sample waits")
		at(60 * time.Second)
		looped.Close()
		<-ended
	})
}

// The limit of the file is that of the manager. The daemon's own commands are fast, so the limit is very small here.
func TestSlowCommandIsLogged(t *testing.T) {
	p := startIn(t, testkit.ShortDir(t), oneSocket+"[limits]\nslow-command = \"1ns\"\n")
	testkit.Eventually(t, func() bool {
		p.command("build-report", "")
		return strings.Contains(p.Err.String(), "a command holds the loop") || strings.Contains(p.Err.String(), "a command held the loop")
	}, "no slow command is logged")
	p.stop()
}
