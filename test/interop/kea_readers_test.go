package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/unix"

	"github.com/stretchr/testify/require"
)

// The readers below send a request and read the reply as clients of Kea do. Each has the rules of its client, and is not
// more tolerant.

// readStork reads as Stork's agent and server do: the HTTP status is 200, a list has one reply, the results 0
// and 3 are success, and arguments are decoded before the result is looked at.
func readStork(t *testing.T, status int, body []byte, arguments any) error {
	t.Helper()
	if status != http.StatusOK {
		return fmt.Errorf("status %d", status)
	}
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil {
		require.Len(t, list, 1)
		body = list[0]
	}
	reply := struct {
		Result    int
		Text      string
		Arguments any
	}{Arguments: arguments}
	if err := json.Unmarshal(body, &reply); err != nil {
		return fmt.Errorf("unreadable: %w", err)
	}
	if reply.Result != 0 && reply.Result != 3 {
		return fmt.Errorf("result %d", reply.Result)
	}
	return nil
}

// readExporter reads as kea-exporter does: each statistic in arguments is a list of pairs, and a failed reply must
// not have any.
func readExporter(t *testing.T, body []byte) (statistics int) {
	t.Helper()
	var list []struct{ Arguments map[string][][]any }
	require.NoError(t, json.Unmarshal(body, &list), "%s", body)
	require.Len(t, list, 1)
	for name, samples := range list[0].Arguments {
		require.NotEmpty(t, samples, name)
		require.Len(t, samples[0], 2, name)
	}
	return len(list[0].Arguments)
}

// readAnsible reads as Ansible's kea_command does: at least 15 bytes up to the end of the stream, one map, and an
// integer result.
func readAnsible(t *testing.T, socket, command string) (result float64) {
	t.Helper()
	conn := testdaemon.DialRaw(t, socket)
	_, err := io.WriteString(conn, `{"command":"`+command+`"}`) // without a line end or a half-close
	require.NoError(t, err)
	text, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(text), 15, "%q", text)
	var reply map[string]any
	require.NoError(t, json.Unmarshal(text, &reply), "%q", text)
	result, ok := reply["result"].(float64)
	require.True(t, ok, "%q", text)
	return result
}

// TestShortestReplyIsLongEnoughForAnsible: a success without anything else has Kea's length and spelling.
func TestShortestReplyIsLongEnoughForAnsible(t *testing.T) {
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, m.Register(mgr.Func("bare", "Return nothing.", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) { return mgr.None{}, nil })))
	socket := filepath.Join(testkit.ShortDir(t), "s")
	testdaemon.Serve(t, m, &unix.Transport{Path: socket})
	require.Zero(t, readAnsible(t, socket, "bare"))
}

// TestKeasToolsHowTo runs the commands of docs/how-to/keas-tools.md, and then reads the replies as each tool does.
func TestKeasToolsHowTo(t *testing.T) {
	testkit.NeedProgram(t, "curl", "curl")
	testkit.NeedProgram(t, "kea-shell", "kea-ctrl-agent")
	dir := testkit.ShortDir(t)
	port := testkit.Port(t)
	port = port[strings.LastIndex(port, ":")+1:]
	const password = "correct horse"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "stork.password"), []byte(password+"\n"), 0o600))
	sh := func(script string) (string, error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, "sh", "-e")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(testkit.Program(t, "steer"))+":"+os.Getenv("PATH"), "no_proxy=*", "GORACE=atexit_sleep_ms=1")
		cmd.Stdin = strings.NewReader(strings.ReplaceAll(script, "8000", port))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	var socket string
	ran := 0
	for _, block := range testkit.MarkdownBlocks(t, filepath.Join(testkit.ModuleRoot(t), "docs/how-to/keas-tools.md")) {
		switch {
		case block.Language == "toml":
			config := strings.ReplaceAll(block.Text, "8000", port)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "keas-tools.toml"), []byte(config), 0o600))
		case strings.HasPrefix(block.Text, "steer user add"):
			out, err := sh(block.Text)
			require.NoError(t, err, "%s", out)
			d := testkit.StartProgram(t, dir, nil, testkit.Program(t, "rudderpostd"), "-c", "keas-tools.toml")
			socket = d.Listening(t)
			testkit.Eventually(t, func() bool { return strings.Contains(d.Out.String(), "http://") }, "it does not listen over HTTP")
		default:
			out, err := sh(block.Text)
			require.NoError(t, err, "line %d: %s", block.Line, out)
			ran++
		}
	}
	require.Equal(t, 3, ran)

	post := func(request, password string) (int, []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:"+port+"/", strings.NewReader(request))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.SetBasicAuth("stork", password)
		client := &http.Client{Timeout: testkit.Timeout, Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, body
	}
	ask := func(request string) []byte {
		conn := testdaemon.DialRaw(t, socket)
		_, err := io.WriteString(conn, request)
		require.NoError(t, err)
		text, err := io.ReadAll(conn)
		require.NoError(t, err)
		return text
	}

	t.Run("Stork over HTTP", func(t *testing.T) {
		for _, command := range []string{"version-get", "status-get", "config-get"} {
			status, body := post(`{"command":"`+command+`","service":["dhcp4"]}`, password)
			require.NoError(t, readStork(t, status, body, new(map[string]any)), "%s", body)
		}
		statistics := map[string][][]json.RawMessage{}
		status, body := post(`{"command":"statistic-get-all","service":["dhcp4"],"arguments":{}}`, password)
		require.NoError(t, readStork(t, status, body, &statistics), "%s", body)
		require.NotEmpty(t, statistics)

		// A failed reply has no arguments, since the typed parser would report them as a wrong error.
		status, body = post(`{"command":"statistic-get","service":["dhcp4"],"arguments":{"nmae":"x"}}`, password)
		require.EqualError(t, readStork(t, status, body, &statistics), "result 1", "%s", body)
		status, body = post(`{"command":"lease4-get","service":["dhcp4"]}`, password)
		require.EqualError(t, readStork(t, status, body, &statistics), "result 2", "%s", body)
		// When Stork commits a configuration it checks the status, and takes all results except 1 and 2 for success.
		for _, command := range []string{"config-write", "config-set", "config-reload"} {
			status, body = post(`{"command":"`+command+`","service":["dhcp4"],"arguments":{}}`, password)
			require.EqualError(t, readStork(t, status, body, nil), "status 403", "%s", body)
		}
		status, body = post(`{"command":"version-get"}`, "wrong horse")
		require.EqualError(t, readStork(t, status, body, nil), "status 401", "%s", body)
	})
	t.Run("Stork over the socket", func(t *testing.T) {
		require.NoError(t, readStork(t, 200, ask(`{"command":"config-get","service":["dhcp4"]}`), new(map[string]any)))
		require.EqualError(t, readStork(t, 200, ask(`{"command":"statistic-get","arguments":{"nmae":1}}`), new(map[string][][]any)), "result 1")
	})
	t.Run("kea-exporter", func(t *testing.T) {
		_, body := post(`{"command": "statistic-get-all", "arguments": {}, "service": ["dhcp4"]}`, password)
		require.Positive(t, readExporter(t, body))
		_, body = post(`{"command": "statistic-get", "arguments": {}, "service": ["dhcp4"]}`, password)
		require.Zero(t, readExporter(t, body), "a failure has arguments: %s", body)
		for _, request := range []string{`{"command": "config-get"}`, `{"command": "statistic-get-all"}`} {
			require.Contains(t, string(ask(request)), `"result": 0`)
		}
	})
	t.Run("Ansible", func(t *testing.T) {
		require.Zero(t, readAnsible(t, socket, "status-get"))
		require.InDelta(t, 2, readAnsible(t, socket, "no-such-command"), 0)
	})
	t.Run("grep", func(t *testing.T) {
		for _, command := range []string{"status-get", "config-get", "statistic-get-all", "list-commands", "config-hash-get"} {
			_, body := post(`{"command": "`+command+`"}`, password)
			require.True(t, bytes.Contains(body, []byte(`"result": 0`)), "%s", body)
			require.Contains(t, string(ask(`{"command": "`+command+`"}`)), `"result": 0`)
		}
		_, body := post(`{"command": "config-write"}`, password)
		require.NotContains(t, string(body), `"result": 0`)
	})
	t.Run("kea-shell", func(t *testing.T) {
		shell := "kea-shell --host 127.0.0.1 --port 8000 --auth-user stork --auth-password '" + password + "' "
		out, err := sh(shell + "config-get </dev/null")
		require.NoError(t, err, "%s", out)
		require.Contains(t, out, `"result": 0`)
		out, err = sh(shell + "config-write </dev/null")
		require.Error(t, err)
		require.Contains(t, out, "HTTP Error 403: Forbidden")
	})
	t.Run("kea-ctrl-agent", func(t *testing.T) {
		agent := startAgent(t, socket)
		out, err := sh("curl -sS -H 'Content-Type: application/json' -d '{\"command\": \"config-get\", \"service\": [\"dhcp4\"]}' http://127.0.0.1:" + agent + "/")
		require.NoError(t, err, "%s", out)
		require.NoError(t, readStork(t, 200, []byte(out), new(map[string]any)))
	})
}
