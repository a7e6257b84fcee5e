package interop_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

// startAgent starts Kea's control agent in front of a socket, and returns its port.
func startAgent(t *testing.T, socket string) string {
	t.Helper()
	agent := testkit.NeedProgram(t, "kea-ctrl-agent", "kea-ctrl-agent")
	dir := testkit.ShortDir(t)
	_, port, err := net.SplitHostPort(testkit.Port(t))
	require.NoError(t, err)
	config := filepath.Join(dir, "agent.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
		`{"Control-agent": {"http-host": "127.0.0.1", "http-port": %s, "control-sockets": {"dhcp4": {"socket-type": "unix", "socket-name": %q}}}}`,
		port, socket), 0o600))
	p := testkit.StartProgram(t, dir, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "KEA_LOCKFILE_DIR="+dir, "KEA_PIDFILE_DIR="+dir, "KEA_LOGGER_DESTINATION=stdout")
	}, agent, "-c", config)
	testkit.Eventually(t, func() bool {
		select {
		case <-p.Ended:
			require.Fail(t, "the agent has ended", p.Out.String()+p.Err.String())
		default:
		}
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, "the agent does not listen")
	return port
}

// keaShell gives a command with kea-shell, as operators of Kea do.
func keaShell(t *testing.T, port, arguments, command string) wire.Reply {
	t.Helper()
	cmd := exec.Command(testkit.NeedProgram(t, "kea-shell", "kea-ctrl-agent"), "--host", "127.0.0.1", "--port", port, "--service", "dhcp4", command)
	cmd.Stdin = strings.NewReader(arguments)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return oneReply(t, out)
}

// oneReply decodes the agent's list, which has our reply alone.
func oneReply(t *testing.T, text []byte) wire.Reply {
	t.Helper()
	var list []wire.Value
	require.NoError(t, json.Unmarshal(text, &list), "%.300s", text)
	require.Len(t, list, 1)
	reply, err := wire.DecodeReply(list[0])
	require.NoError(t, err)
	return reply
}

// kea-shell commands our daemon through Kea's control agent.
func TestKeaShellCommandsUsThroughKeasAgent(t *testing.T) {
	testkit.NeedProgram(t, "kea-shell", "kea-ctrl-agent")
	_, _, socket := testdaemon.Start(t, testdaemon.OneSocket, nil)
	port := startAgent(t, socket)

	reply := keaShell(t, port, "", "list-commands")
	require.Equal(t, wire.CodeSuccess, reply.Code)
	var names []string
	require.NoError(t, reply.Decode(&names))
	require.True(t, slices.IsSorted(names))
	require.Subset(t, names, []string{"config-get", "list-commands", "shutdown", "version-get", "whoami"})

	reply = keaShell(t, port, "", "version-get")
	require.Equal(t, wire.CodeSuccess, reply.Code)
	require.NotEmpty(t, reply.Text)
	require.Contains(t, testdaemon.Arguments(t, reply), `"extended"`)

	reply = keaShell(t, port, "", "status-get")
	require.Equal(t, wire.CodeSuccess, reply.Code)
	require.Contains(t, testdaemon.Arguments(t, reply), `"ready"`)

	reply = keaShell(t, port, "", "config-get")
	require.Equal(t, wire.CodeSuccess, reply.Code)
	var config struct {
		Rudderpost struct {
			LogLevel string `json:"log-level"`
		}
		Hash string `json:"hash"`
	}
	require.NoError(t, reply.Decode(&config))
	require.Equal(t, "info", config.Rudderpost.LogLevel)

	reply = keaShell(t, port, "", "config-hash-get")
	require.Equal(t, wire.CodeSuccess, reply.Code)
	require.JSONEq(t, `{"hash":"`+config.Hash+`"}`, testdaemon.Arguments(t, reply))
	require.Regexp(t, `^[0-9A-F]{64}$`, config.Hash)

	reply = keaShell(t, port, `"name": "uptime"`, "statistic-get")
	require.Equal(t, wire.CodeSuccess, reply.Code)
	require.Regexp(t, `"uptime": ?\[ ?\[ ?\d+, ?"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}" ?\] ?\]`, testdaemon.Arguments(t, reply))

	reply = keaShell(t, port, `"nmae": "uptime"`, "statistic-get")
	require.Equal(t, wire.CodeError, reply.Code)
	require.ErrorIs(t, reply.Err(), &wire.Error{Code: wire.CodeError, Word: "bad-arguments"})

	reply = keaShell(t, port, "", "no-such-command")
	require.Equal(t, wire.CodeUnsupported, reply.Code)
	require.Equal(t, "'no-such-command' command not supported.", reply.Text)

	reply = keaShell(t, port, `"exit-value": 0`, "shutdown")
	require.Equal(t, wire.CodeSuccess, reply.Code)
	require.Equal(t, "Shutting down.", reply.Text)

	cmd := exec.Command(testkit.NeedProgram(t, "kea-shell", "kea-ctrl-agent"), "--host", "127.0.0.1", "--port", port, "--service", "dhcp4", "list-commands")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, oneReply(t, out).Text, "server is likely to be offline") // after the daemon has ended
}

// Kea's agent reads everything that we may send. It forwards each byte beyond ASCII as the character with that number, which
// is a documented fault of the agent.
func TestKeaAgentForwardsOurReplies(t *testing.T) {
	testkit.NeedProgram(t, "kea-ctrl-agent", "kea-ctrl-agent")
	const strange = "€ \u2028 \u2029 😀 é ÿ \ufffd \ufeff \" \\ \n \x00 \x1f \x7f"
	deep := strings.Repeat("[", 97) + strings.Repeat("]", 97)
	large := make([]string, 2<<20/16)
	for i := range large {
		large[i] = fmt.Sprintf("item %08d", i)
	}
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, m.Register(
		mgr.Func("strange", "Characters.", mgr.Read, func(context.Context, mgr.None) (map[string]string, error) {
			return map[string]string{"€": strange}, nil
		}),
		mgr.Func("fails", "Words.", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) {
			return mgr.None{}, wire.Errorf(wire.CodeError, "", strange)
		}),
		mgr.Func("large", "Much.", mgr.Read, func(context.Context, mgr.None) ([]string, error) { return large, nil }),
		mgr.Func("deep", "Nested.", mgr.Read, func(context.Context, mgr.None) (wire.Value, error) { return wire.Value(deep), nil }),
		// Not 1e308: the agent writes 1e+308.0 for it, which is not JSON.
		mgr.Func("numbers", "Extremes.", mgr.Read, func(context.Context, mgr.None) (wire.Value, error) {
			return wire.Value(`[9223372036854775807,-9223372036854775808,0.1,-0,1E+2]`), nil
		}),
	))
	socket := filepath.Join(testkit.ShortDir(t), "control.sock")
	testdaemon.Serve(t, m, &unix.Transport{Path: socket})
	port := startAgent(t, socket)
	post := func(command string) wire.Reply {
		client := &http.Client{Timeout: testkit.Timeout, Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Post("http://127.0.0.1:"+port, "application/json",
			strings.NewReader(`{"command":"`+command+`","service":["dhcp4"]}`))
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode, "%s", body)
		return oneReply(t, body)
	}
	latin1 := func(s string) string {
		runes := make([]rune, 0, len(s))
		for _, b := range []byte(s) {
			runes = append(runes, rune(b))
		}
		return string(runes)
	}

	reply := post("strange") // without quotes in the key, since the agent does not escape keys
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	var one map[string]string
	require.NoError(t, reply.Decode(&one))
	require.Len(t, one, 1)
	for _, text := range one {
		require.Equal(t, latin1(strange), text)
	}

	reply = post("fails")
	require.Equal(t, wire.CodeError, reply.Code)
	require.Equal(t, latin1(strange), reply.Text)

	var list []string
	reply = post("large")
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	require.NoError(t, reply.Decode(&list))
	require.Equal(t, large, list)

	reply = post("deep")
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	require.Equal(t, deep, strings.ReplaceAll(testdaemon.Arguments(t, reply), " ", ""))

	reply = post("numbers")
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	require.Contains(t, testdaemon.Arguments(t, reply), "9223372036854775807, -9223372036854775808")
}

// A client that reads until the end gets the end at once, with and without a half-close.
func TestEndOfStreamComesAtOnce(t *testing.T) {
	_, _, socket := testdaemon.Start(t, testdaemon.OneSocket, nil)
	for _, c := range []struct {
		name, debian string
		args         []string
		open         bool // standard input stays open; socat itself would wait for its end
	}{
		{"socat", "socat", []string{"-t", "600", "-", "UNIX-CONNECT:" + socket}, false},
		{"socat", "socat", []string{"-t", "600", "-,ignoreeof", "UNIX-CONNECT:" + socket}, false},
		{"nc", "netcat-openbsd", []string{"-U", socket}, true},
		{"nc", "netcat-openbsd", []string{"-U", socket}, false},
		{"nc", "netcat-openbsd", []string{"-N", "-U", socket}, false},
	} {
		t.Run(fmt.Sprintf("%s %s open=%t", c.name, c.args[len(c.args)-2], c.open), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
			defer cancel()
			cmd := exec.CommandContext(ctx, testkit.NeedProgram(t, c.name, c.debian), c.args...)
			input, err := cmd.StdinPipe()
			require.NoError(t, err)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			require.NoError(t, cmd.Start())
			_, err = io.WriteString(input, "{\"command\": \"version-get\"}\n")
			require.NoError(t, err)
			if !c.open {
				require.NoError(t, input.Close())
			}
			require.NoError(t, cmd.Wait(), "it waits for more than %s", out.String())
			reply, err := wire.DecodeReply(bytes.TrimSpace(out.Bytes()))
			require.NoError(t, err, "%s", out.String())
			require.Equal(t, wire.CodeSuccess, reply.Code)
		})
	}
}

// startKea starts Kea's DHCPv4 server, and returns it and its socket.
func startKea(t *testing.T) (p *testkit.Child, socket string) {
	t.Helper()
	const kea = "/usr/sbin/kea-dhcp4"
	if !testkit.Exists(kea) {
		t.Skip("kea-dhcp4 is not installed (Debian: kea-dhcp4-server); .ci/run does without")
	}
	dir := testkit.ShortDir(t)
	socket = filepath.Join(dir, "kea.sock")
	config := filepath.Join(dir, "kea.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `{"Dhcp4": {
		"interfaces-config": {"interfaces": []},
		"lease-database": {"type": "memfile", "persist": false},
		"control-socket": {"socket-type": "unix", "socket-name": %q}
	}}`, socket), 0o600))
	p = testkit.StartProgram(t, dir, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "KEA_LOCKFILE_DIR="+dir, "KEA_PIDFILE_DIR="+dir, "KEA_LOGGER_DESTINATION=stdout")
	}, kea, "-c", config)
	testkit.Eventually(t, func() bool {
		select {
		case <-p.Ended:
			t.Skipf("kea-dhcp4 does not start here:\n%s%s", p.Out.String(), p.Err.String())
		default:
		}
		return testkit.Exists(socket)
	}, "Kea does not listen")
	return p, socket
}

// steer commands a Kea server.
func TestSteerCommandsKea(t *testing.T) {
	p, socket := startKea(t)
	text, status := testdaemon.Steer(t, "", "-r", "-s", socket, "version-get")
	require.Zero(t, status, text)
	require.Regexp(t, `^\{"result":0,"text":"\d+\.\d+\.\d+","arguments":\{"extended":"`, text)
	text, status = testdaemon.Steer(t, "", "-s", socket, "statistic-get", "name=pkt4-received")
	require.Zero(t, status, text)
	require.Contains(t, text, `"pkt4-received": [`)
	text, status = testdaemon.Steer(t, `{"name": 7}`, "-r", "-s", socket, "statistic-get", "-")
	require.Equal(t, 1, status, text)
	require.Equal(t, `{"result":1,"text":"'name' parameter expected to be a string."}`+"\n", text)
	text, status = testdaemon.Steer(t, "", "-r", "-s", socket, "foo")
	require.Equal(t, 2, status, text)
	text, status = testdaemon.Steer(t, "", "-r", "-s", socket, "config-backend-pull")
	require.Equal(t, 3, status, text)
	text, status = testdaemon.Steer(t, "", "-s", socket, "config-get")
	require.Zero(t, status, text)
	require.Contains(t, text, `"Dhcp4": {`)
	text, status = testdaemon.Steer(t, "", "-s", socket, "shutdown", "exit-value=7")
	require.Zero(t, status, text)
	require.Equal(t, 7, p.Wait(t))
	text, status = testdaemon.Steer(t, "", "-s", socket, "version-get")
	require.Equal(t, 69, status, text)
}
