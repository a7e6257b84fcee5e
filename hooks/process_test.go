package hooks_test

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

func signalsIgnored() { signal.Ignore(syscall.SIGTERM) }

// A process gets its parameters, the request with its caller, the arguments of Exec unchanged, and almost no
// environment.
func TestProcessGetsParametersRequestAndArguments(t *testing.T) {
	t.Setenv("CANARY", "secret")
	d := start(t, nil)
	require.NoError(t, d.load(process(t, "mirror", "echo")))
	r := ask(t, d.as("monitor"), "mirror", "{ \"a\" :\n [1.0, \"$(id)\\n\"] }")
	require.Zero(t, r.Code, r.Text)
	var saw struct {
		Hello   map[string]any
		Request map[string]any
		Argv    []string
		Env     []string
	}
	require.NoError(t, json.Unmarshal([]byte(text(r)), &saw, json.MatchCaseInsensitiveNames(true)))
	require.Equal(t, map[string]any{"version": 1.0, "name": "mirror", "parameters": map[string]any{"of": "mirror"}}, saw.Hello)
	peer := saw.Request["peer"].(map[string]any)
	require.Equal(t, []any{"monitor"}, peer["subjects"])
	require.Equal(t, "pipe", peer["transport"])
	delete(saw.Request, "peer")
	require.Equal(t, map[string]any{
		"id": 1.0, "command": "mirror", "timeout": 30.0, "arguments": map[string]any{"a": []any{1.0, "$(id)\n"}},
	}, saw.Request)
	require.Equal(t, []string{"$(touch x);`id`", "a b"}, saw.Argv)
	require.Equal(t, []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", hookModeEnv + "=echo", "GORACE=atexit_sleep_ms=1"}, saw.Env)
}

func TestSchemasOfAProcessAreChecked(t *testing.T) {
	d := start(t, nil)
	require.NoError(t, d.load(process(t, "sum", "with-schemas"), process(t, "result", "result")))
	for arguments, want := range map[string]string{
		`{"n":0}`:           "'n' parameter must be at least 1.",
		`{"n":1,"x":2}`:     "Unsupported 'x' parameter.",
		`{"n":1,"key":777}`: "'key' parameter expected to be a string.",
		`[]`:                "invalid command 'sum': expected 'arguments' to be a map, got list instead",
		``:                  "Missing mandatory 'n' parameter.",
	} {
		r := d.ask("sum", arguments)
		require.Equal(t, wire.CodeError, r.Code)
		require.Equal(t, want, r.Text)
	}
	require.Equal(t, "7", text(d.ask("sum", `{"n":7}`)))
	r := d.ask("describe-command", `{"command":"sum"}`)
	require.True(t, contains(text(r), `"owner":"sum"`, `"access":"read"`, `"minimum":1`, `"returns":{"type":"integer"}`, `"examples":["{\"n\":1}"]`), text(r))

	require.Equal(t, wire.Code(1234), d.ask("result", `1234`).Code)
	require.Nil(t, d.ask("result", `1234`).Arguments)
	require.Equal(t, "result-1234", d.ask("result", `1234`).Text)
	r = d.ask("result", `-1`)
	require.Equal(t, wire.CodeInternal, r.Code)
	require.Equal(t, "the hook 'result' returned what it must not: a result below 0", r.Text)
}

// A callback has the rights of the caller of a present call. Without such a call it is refused.
func TestCallbackHasTheRightsOfItsCaller(t *testing.T) {
	d := start(t, nil)
	require.NoError(t, d.load(process(t, "back", "back"), process(t, "other", "back-for-another")))
	admin, monitor := d.as("admin"), d.as("monitor")
	require.JSONEq(t, `{"result":0,"arguments":"the secret"}`, text(ask(t, admin, "back", `"secret-get"`)))
	require.JSONEq(t, `{"result":403,"text":"not for a monitor","error":{"code":"forbidden"}}`,
		text(ask(t, monitor, "back", `"secret-get"`)))
	require.JSONEq(t, `{"result":0,"arguments":"alive"}`, text(ask(t, monitor, "back", `"status-get"`)))
	require.JSONEq(t, `{"result":2,"text":"'no-such' command not supported.","error":{"code":"unsupported"}}`,
		text(ask(t, monitor, "back", `"no-such"`)))
	require.JSONEq(t, `[
		{"call":1,"result":403,"text":"there is no call 99 that anybody waits for, and a hook has no rights but its caller's","error":{"code":"forbidden"}},
		{"call":2,"result":403,"text":"there is no call 0 that anybody waits for, and a hook has no rights but its caller's","error":{"code":"forbidden"}}
	]`, text(ask(t, admin, "other", "")))
}

func TestLinesOfAProcessAreLogged(t *testing.T) {
	d := start(t, nil)
	require.NoError(t, d.load(process(t, "log", "log")))
	require.Zero(t, d.ask("log", "").Code)
	d.eventually(func() bool {
		return contains(d.log.String(), `level=WARN msg="a hook says" hook=log line="a line\nin two"`,
			`level=DEBUG msg="a hook says" hook=log line=xxx`, `msg="a hook wrote to stderr" hook=log line="by stderr"`)
	}, "its lines are not in the log")
	require.NotContains(t, d.log.String(), string(make([]byte, 2000)))
}

// When the caller has gone, the process gets a cancel frame.
func TestCancelReachesTheProcess(t *testing.T) {
	d := start(t, nil)
	require.NoError(t, d.load(process(t, "cancelled", "cancelled")))
	c := d.as("admin")
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		_, err := c.Do(ctx, wire.Request{Command: "cancelled"})
		asked <- err
	}()
	d.eventually(func() bool { return contains(d.log.String(), "it sleeps") }, "it does not run")
	cancel()
	require.ErrorIs(t, <-asked, context.Canceled)
	d.eventually(func() bool { return contains(d.log.String(), "received {cancel:1}") }, "it got no cancel frame")
	require.Equal(t, "running", d.status("cancelled").State)
}

// A call that has timed out gets a reply; three of them end the process.
func TestThreeLateCallsEndTheProcess(t *testing.T) {
	d := start(t, nil)
	cfg := process(t, "hang", "hang")
	cfg.Timeout = 50 * time.Millisecond
	require.NoError(t, d.load(cfg))
	pid := d.status("hang").PID
	for range 3 {
		r := d.ask("hang", "")
		require.Equal(t, wire.CodeTimeout, r.Code, r.Text)
		require.Equal(t, "the hook 'hang' took longer than 50ms for 'hang'", r.Text)
	}
	d.eventually(func() bool { s := d.status("hang"); return s.State == "running" && s.PID != pid }, "it is not started again")
	require.Equal(t, "it has 3 calls that took longer than 50ms", d.status("hang").LastError)
}

// At a stop a process replies to its calls and ends at the end of its stdin; otherwise it is killed.
func TestStopWaitsForRepliesAndKillsAHangingProcess(t *testing.T) {
	d := start(t, nil)
	slow := process(t, "slow", "slow")
	require.NoError(t, d.load(slow))
	pid := d.status("slow").PID
	c := d.as("admin")
	asked := make(chan wire.Reply, 1)
	go func() { asked <- ask(t, c, "slow", "") }()
	d.eventually(func() bool { return contains(d.log.String(), "slowly now") }, "it does not run")
	require.NoError(t, d.load())
	require.Equal(t, "slowly", (<-asked).Text)
	d.eventually(func() bool { return !processExists(pid) }, "it does not end")

	d = start(t, func(s *hooks.Set) { s.StopTimeout = 20 * time.Millisecond })
	require.NoError(t, d.load(process(t, "ignore", "ignore-term")))
	pid = d.status("ignore").PID
	require.Zero(t, d.ask("ignore", "").Code)
	require.NoError(t, d.load())
	d.eventually(func() bool { return !processExists(pid) }, "it is not killed")
	_, err := os.Stat("x")
	require.ErrorIs(t, err, os.ErrNotExist)
}
