package std_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/std"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A daemon is a manager with commands of this package, that runs until the test ends.
type daemon struct {
	t     *testing.T
	place *pipe.Transport
	stop  func()
}

func start(t *testing.T, observer mgr.Observer, commands ...mgr.Command) *daemon {
	t.Helper()
	d := &daemon{t: t, place: pipe.New()}
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Observer: observer})
	require.NoError(t, m.Register(commands...))
	_, err := m.Open(t.Context(), d.place)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(d.stop)
	return d
}

// ask runs a command, and returns the reply and its compact arguments.
func (d *daemon) ask(request string) (reply wire.Reply, arguments string) {
	d.t.Helper()
	conn, err := d.place.DialBytes(d.t.Context())
	require.NoError(d.t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, request)
	require.NoError(d.t, err)
	text, err := io.ReadAll(conn)
	require.NoError(d.t, err)
	reply, err = wire.DecodeReply(text)
	require.NoError(d.t, err)
	if reply.Arguments != nil {
		compact := jsontext.Value(reply.Arguments.(wire.Value)) // without Kea's white space
		require.NoError(d.t, compact.Compact(jsontext.PreserveRawStrings(true)))
		arguments = string(compact)
	}
	return reply, arguments
}

// give runs a command that must succeed.
func (d *daemon) give(request string) (text, arguments string) {
	d.t.Helper()
	reply, arguments := d.ask(request)
	require.Equal(d.t, wire.CodeSuccess, reply.Code, reply.Text)
	return reply.Text, arguments
}

// These commands ignore any arguments, as Kea's do (contract §9).
func TestCommandsOfKeaIgnoreTheirArguments(t *testing.T) {
	stats := std.NewStatistics()
	commands := append(stats.Commands(), std.Version("1", ""), std.BuildReport(),
		std.StatusGet(func() std.Status { return std.StatusOf(time.Now(), time.Now()) }))
	commands = append(commands, std.Config("Dhcp4", func() any { return nil })...)
	d := start(t, nil, append(commands, std.LogLevel(new(slog.LevelVar))...)...)
	for _, command := range []string{
		"version-get", "build-report", "status-get", "config-get", "config-hash-get",
		"statistic-get-all", "statistic-reset-all", "list-commands",
	} {
		for _, arguments := range []string{"null", "{}", "7", `"x"`, "[1,2]", `{"a":{"b":[]}}`, "1e400"} {
			d.give(`{"command":"` + command + `","arguments":` + arguments + `}`)
		}
	}
}

// Commands that Kea does not have refuse arguments that they do not know, also those that take none.
func TestCommandsThatKeaDoesNotHaveRefuseUnknownArguments(t *testing.T) {
	d := start(t, nil, append(std.LogLevel(new(slog.LevelVar)), std.Sessions(nil)...)...)
	for _, command := range []string{"whoami", "describe-command", "cancel", "session-list", "session-kill", "log-level-get", "log-level-set"} {
		for _, arguments := range []string{"7", `"x"`, "[1,2]", `{"unknown":1}`} {
			reply, _ := d.ask(`{"command":"` + command + `","arguments":` + arguments + `}`)
			require.ErrorIs(t, reply.Err(), &wire.Error{Code: wire.CodeError, Word: "bad-arguments"}, "%s %s", command, arguments)
		}
	}
	for _, command := range []string{"whoami", "log-level-get"} {
		for _, arguments := range []string{"null", "{}"} {
			d.give(`{"command":"` + command + `","arguments":` + arguments + `}`)
		}
	}
}

func TestVersion(t *testing.T) {
	d := start(t, nil, std.Version("1.2.3", "1.2.3\ncustom"), std.BuildReport())
	text, arguments := d.give(`{"command":"version-get"}`)
	require.Equal(t, "1.2.3", text)
	require.JSONEq(t, `{"extended":"1.2.3\ncustom"}`, arguments)

	d = start(t, nil, std.Version("1.2.3", ""))
	_, arguments = d.give(`{"command":"version-get"}`)
	require.Contains(t, arguments, `"1.2.3\nlinked with:\n`+runtime.Version())
}

// The build report is a text only, and has no path of the machine that built the daemon.
func TestBuildReportHasNoPathOfTheBuildMachine(t *testing.T) {
	d := start(t, nil, std.BuildReport())
	text, arguments := d.give(`{"command":"build-report"}`)
	require.Empty(t, arguments)
	require.Contains(t, text, runtime.Version())
	require.Contains(t, text, runtime.GOOS)
	home, err := os.UserHomeDir()
	require.NoError(t, err)
	if home != "/" {
		require.NotContains(t, text, home+"/")
	}
	require.NotContains(t, text, "-ldflags")
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		loaded := started
		d := start(t, nil, std.StatusGet(func() std.Status {
			s := std.StatusOf(started, loaded)
			s.Sockets.Open = []string{"pipe:"}
			return s
		}))
		time.Sleep(90 * time.Second)
		loaded = time.Now()
		time.Sleep(10*time.Second + 999*time.Millisecond)
		_, arguments := d.give(`{"command":"status-get"}`)
		require.JSONEq(t, fmt.Sprintf(
			`{"pid":%d,"uptime":100,"reload":10,"multi-threading-enabled":false,"sockets":{"status":"ready","open":["pipe:"]}}`, os.Getpid()), arguments)
		d.stop()
	})
}

// The type of report may have members beside those of Status.
func TestStatusGetReturnsMembersOfTheDaemonsType(t *testing.T) {
	type status struct {
		std.Status
		Leases int `json:"leases"`
	}
	d := start(t, nil, std.StatusGet(func() status { return status{std.StatusOf(time.Now(), time.Now()), 7} }))
	_, arguments := d.give(`{"command":"status-get"}`)
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(arguments), &got))
	require.Equal(t, 7.0, got["leases"])
	require.Equal(t, 0.0, got["uptime"])
}

// The hash is that of the text that Kea would write: spaces, keys in byte order, each byte beyond
// ASCII by itself, reals with six digits.
func TestConfigHashIsThatOfKeasText(t *testing.T) {
	for _, c := range []struct {
		config any
		kea    string
	}{
		{map[string]any{}, `{ "Dhcp4": {  } }`},
		{map[string]any{"b": 1, "a": []any{}, "B": map[string]any{}}, `{ "Dhcp4": { "B": {  }, "a": [  ], "b": 1 } }`},
		{map[string]any{"l": []any{1, "x", true, false, nil}}, `{ "Dhcp4": { "l": [ 1, "x", true, false, null ] } }`},
		{map[string]any{"s": "é€ \"\\/\b\f\n\r\t\x01\x7f"},
			`{ "Dhcp4": { "s": "\u00c3\u00a9\u00e2\u0082\u00ac \"\\/\b\f\n\r\t\u0001\u007f" } }`},
		{map[string]any{"r": []any{0.5, 1234567.891, 1e-7, 1e100, -2.25, 0.1, 100000.5}},
			`{ "Dhcp4": { "r": [ 0.5, 1.23457e+06, 1e-07, 1e+100, -2.25, 0.1, 100000.0 ] } }`},
		{map[string]any{"i": []any{0, -1, 1000000, 4294967296, 9007199254740993, int64(9223372036854775807), int64(-9223372036854775808)}},
			`{ "Dhcp4": { "i": [ 0, -1, 1000000, 4294967296, 9007199254740993, 9223372036854775807, -9223372036854775808 ] } }`},
		{struct {
			Name string   `json:"name"`
			List []string `json:"list"`
		}{"x", nil}, `{ "Dhcp4": { "list": [  ], "name": "x" } }`},
	} {
		d := start(t, nil, std.Config("Dhcp4", func() any { return c.config })...)
		want := fmt.Sprintf("%X", sha256.Sum256([]byte(c.kea)))
		_, arguments := d.give(`{"command":"config-hash-get"}`)
		require.JSONEq(t, `{"hash":"`+want+`"}`, arguments, c.kea)

		_, arguments = d.give(`{"command":"config-get"}`)
		var got struct {
			Dhcp4 jsontext.Value `json:"Dhcp4"`
			Hash  string         `json:"hash"`
		}
		require.NoError(t, json.Unmarshal([]byte(arguments), &got))
		require.Equal(t, want, got.Hash)
		config, err := json.Marshal(c.config)
		require.NoError(t, err)
		require.JSONEq(t, string(config), string(got.Dhcp4))
	}
	// The reply has integers of 64 bits unrounded.
	d := start(t, nil, std.Config("Dhcp4", func() any { return map[string]int64{"n": 9007199254740993} })...)
	_, arguments := d.give(`{"command":"config-get"}`)
	require.Contains(t, arguments, `"n":9007199254740993}`)

	// Computed by hand: printf '{ "Dhcp4": { "valid-lifetime": 4000 } }' | sha256sum
	d = start(t, nil, std.Config("Dhcp4", func() any { return map[string]int{"valid-lifetime": 4000} })...)
	_, arguments = d.give(`{"command":"config-hash-get"}`)
	require.JSONEq(t, `{"hash":"BADBE5F52F9F8793B88C94571239A5B8C8D518906B4404697490ABFCDE8288E9"}`, arguments)
}

// A configuration that cannot be encoded is a defect; the reply is a failure.
func TestConfigGetOfValueWithoutJSONFails(t *testing.T) {
	d := start(t, nil, std.Config("Dhcp4", func() any { return map[string]any{"f": func() {}} })...)
	for _, command := range []string{"config-get", "config-hash-get"} {
		reply, _ := d.ask(`{"command":"` + command + `"}`)
		require.NotEqual(t, wire.CodeSuccess, reply.Code)
	}
}

func TestLogLevel(t *testing.T) {
	var level slog.LevelVar
	d := start(t, nil, std.LogLevel(&level)...)
	_, arguments := d.give(`{"command":"log-level-get"}`)
	require.JSONEq(t, `{"level":"info"}`, arguments)
	for name, want := range map[string]slog.Level{"debug": slog.LevelDebug, "warn": slog.LevelWarn, "error": slog.LevelError, "info": slog.LevelInfo} {
		text, arguments := d.give(`{"command":"log-level-set","arguments":{"level":"` + name + `"}}`)
		require.Equal(t, "Log level is now "+name+".", text)
		require.JSONEq(t, `{"level":"`+name+`"}`, arguments)
		require.Equal(t, want, level.Level())
	}
	level.Set(slog.LevelWarn)
	for _, bad := range []string{`{}`, `{"level":7}`, `{"level":"loud"}`, `{"level":"DEBUG"}`, `{"level":"info+2"}`, `{"level":"info","x":1}`, `[]`} {
		reply, _ := d.ask(`{"command":"log-level-set","arguments":` + bad + `}`)
		require.Equal(t, wire.CodeError, reply.Code, bad)
		require.Equal(t, "bad-arguments", reply.Error.Word)
		require.Equal(t, slog.LevelWarn, level.Level())
	}
}

const sample = `\[\[%d,"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}"\]\]`

func sampleOf(n int) *regexp.Regexp { return regexp.MustCompile(fmt.Sprintf(sample, n)) }

func TestStatistics(t *testing.T) {
	stats := std.NewStatistics()
	stats.Add("pkt4-received", 3)
	stats.Add("pkt4-received", 4)
	stats.Add("pkt4-sent", -1)
	measured := int64(7)
	stats.Measure("uptime", func() int64 { return measured })
	d := start(t, nil, stats.Commands()...)
	get := func(name string) string {
		_, arguments := d.give(`{"command":"statistic-get","arguments":{"name":"` + name + `"}}`)
		return arguments
	}
	require.Regexp(t, `^\{"pkt4-received":`+sampleOf(7).String()+`\}$`, get("pkt4-received"))
	require.Regexp(t, sampleOf(7), get("uptime"))
	measured = 8
	require.Regexp(t, sampleOf(8), get("uptime"))
	require.Equal(t, `{}`, get("nope"))
	_, arguments := d.give(`{"command":"statistic-get-all"}`)
	for name, n := range map[string]int{"pkt4-received": 7, "pkt4-sent": -1, "uptime": 8} {
		require.Regexp(t, `"`+name+`":`+sampleOf(n).String(), arguments)
	}

	text, _ := d.give(`{"command":"statistic-reset","arguments":{"name":"pkt4-received"}}`)
	require.Equal(t, "Statistic 'pkt4-received' reset.", text)
	require.Regexp(t, sampleOf(0), get("pkt4-received"))
	require.Regexp(t, sampleOf(-1), get("pkt4-sent"))
	stats.Add("pkt4-received", 5)
	require.Regexp(t, sampleOf(5), get("pkt4-received"))

	for request, want := range map[string]wire.Reply{
		`{"name":"nope"}`:   {Code: wire.CodeError, Text: "No 'nope' statistic found"},
		`{"name":"uptime"}`: {Code: wire.CodeConflict, Text: "'uptime' is measured, not counted, and cannot be reset"},
		`{}`:                {Code: wire.CodeError, Text: "Missing mandatory 'name' parameter."},
		`{"name":7}`:        {Code: wire.CodeError, Text: "'name' parameter expected to be a string."},
		`{"name":"` + strings.Repeat("x", 200) + `"}`: {Code: wire.CodeError, Text: "No '" + strings.Repeat("x", 128) + "…' statistic found"},
	} {
		reply, _ := d.ask(`{"command":"statistic-reset","arguments":` + request + `}`)
		require.Equal(t, want.Code, reply.Code)
		require.Equal(t, want.Text, reply.Text)
	}

	text, _ = d.give(`{"command":"statistic-reset-all"}`)
	require.Equal(t, "All statistics reset to neutral values.", text)
	require.Regexp(t, sampleOf(0), get("pkt4-received"))
	require.Regexp(t, sampleOf(0), get("pkt4-sent"))
	require.Regexp(t, sampleOf(8), get("uptime"))
}

// The time of a counted statistic is when it was changed; that of a measured one is now.
func TestTimeOfCountedStatisticIsThatOfItsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stats := std.NewStatistics()
		stats.Add("counted", 1)
		changed := time.Now()
		stats.Measure("measured", func() int64 { return 1 })
		d := start(t, nil, stats.Commands()...)
		time.Sleep(1500 * time.Millisecond)
		const layout = "2006-01-02 15:04:05.000000"
		_, arguments := d.give(`{"command":"statistic-get-all"}`)
		require.JSONEq(t, fmt.Sprintf(`{"counted":[[1,%q]],"measured":[[1,%q]]}`, changed.Format(layout), time.Now().Format(layout)), arguments)
		d.give(`{"command":"statistic-reset-all"}`)
		_, arguments = d.give(`{"command":"statistic-get","arguments":{"name":"counted"}}`)
		require.JSONEq(t, fmt.Sprintf(`{"counted":[[0,%q]]}`, time.Now().Format(layout)), arguments)
		d.stop()
	})
}

// Statistics may be changed while they are read.
func TestStatisticsMayBeChangedWhileTheyAreRead(t *testing.T) {
	stats := std.NewStatistics()
	d := start(t, stats.Observer(), stats.Commands()...)
	var counting sync.WaitGroup
	for range 4 {
		counting.Go(func() {
			for range 1000 {
				stats.Add("n", 1)
			}
		})
	}
	for range 20 {
		d.give(`{"command":"statistic-get-all"}`)
	}
	counting.Wait()
	_, arguments := d.give(`{"command":"statistic-get","arguments":{"name":"n"}}`)
	require.Regexp(t, sampleOf(4000), arguments)
}

// The observer counts conns, commands and bytes.
func TestObserverCountsTheEventsOfTheChannel(t *testing.T) {
	stats := std.NewStatistics()
	o := stats.Observer()
	d := start(t, nil, stats.Commands()...)
	count := func(name string) int {
		_, arguments := d.give(`{"command":"statistic-get","arguments":{"name":"` + name + `"}}`)
		var got map[string][][2]any
		require.NoError(t, json.Unmarshal([]byte(arguments), &got))
		require.Len(t, got[name], 1, name)
		return int(got[name][0][0].(float64))
	}
	names := []string{"conns-opened", "conns-closed", "commands-received", "commands-failed", "commands-refused", "bytes-received", "bytes-sent"}
	for _, name := range names {
		require.Zero(t, count(name)) // the observer creates all statistics at the start
	}
	o.ConnOpened(transport.Peer{})
	o.ConnOpened(transport.Peer{})
	o.ConnClosed(transport.Peer{})
	for _, code := range []wire.Code{
		wire.CodeSuccess, wire.CodeEmpty, wire.CodeError, wire.CodeInternal, wire.CodeTooMany, wire.CodeForbidden, wire.CodeUnauthenticated,
	} {
		o.CallDone(mgr.CallResult{Code: code, BytesIn: 10, BytesOut: 100})
	}
	for i, want := range []int{2, 1, 7, 3, 2, 70, 700} {
		require.Equal(t, want, count(names[i]), names[i])
	}
}

// shutdown passes the exit status on, and refuses other arguments with Kea's texts.
func TestShutdown(t *testing.T) {
	var stopped []int
	d := start(t, nil, std.Shutdown(func(exit int) { stopped = append(stopped, exit) }))
	for arguments, exit := range map[string]int{
		``: 0, `,"arguments":{}`: 0, `,"arguments":{"exit-value":0}`: 0, `,"arguments":{"exit-value":7}`: 7,
		`,"arguments":{"exit-value":300}`: 300, `,"arguments":{"exit-value":-1}`: -1,
	} {
		stopped = nil
		text, reply := d.give(`{"command":"shutdown"` + arguments + `}`)
		require.Equal(t, "Shutting down.", text)
		require.Empty(t, reply)
		require.Equal(t, []int{exit}, stopped)
	}
	stopped = nil
	for arguments, want := range map[string]string{
		`[]`:                                  "Argument must be a map",
		`"now"`:                               "Argument must be a map",
		`null`:                                "Argument must be a map",
		`7`:                                   "Argument must be a map",
		`{"exit-value":"7"}`:                  "parameter 'exit-value' is not an integer",
		`{"exit-value":7.5}`:                  "parameter 'exit-value' is not an integer",
		`{"exit-value":null}`:                 "parameter 'exit-value' is not an integer",
		`{"exit-value":[]}`:                   "parameter 'exit-value' is not an integer",
		`{"exit-value":1e400}`:                "parameter 'exit-value' is not an integer",
		`{"exit-value":99999999999999999999}`: "parameter 'exit-value' is not an integer",
		`{"exit_value":7}`:                    "shutdown has no parameter but 'exit-value'",
		`{"exit-value":7,"type":"now"}`:       "shutdown has no parameter but 'exit-value'",
	} {
		reply, _ := d.ask(`{"command":"shutdown","arguments":` + arguments + `}`)
		require.Equal(t, wire.CodeError, reply.Code, arguments)
		require.Equal(t, want, reply.Text, arguments)
	}
	require.Empty(t, stopped)
}

// Arguments that fit the description of a command are accepted.
func TestDescribedArgumentsAreAccepted(t *testing.T) {
	stats := std.NewStatistics()
	commands := append(stats.Commands(), std.Version("1", ""), std.BuildReport(), std.Shutdown(func(int) {}))
	commands = append(commands, std.LogLevel(new(slog.LevelVar))...)
	d := start(t, nil, append(commands, std.Config("Dhcp4", func() any { return nil })...)...)
	for _, cmd := range commands {
		_, arguments := d.give(`{"command":"describe-command","arguments":{"command":"` + cmd.Name + `"}}`)
		require.Contains(t, arguments, `"access":"`+cmd.Level.String()+`"`)
		for _, example := range cmd.Examples {
			d.give(`{"command":"` + cmd.Name + `","arguments":` + example + `}`)
		}
	}
}
