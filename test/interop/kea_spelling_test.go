package interop_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	httpd "github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// TestRepliesHaveKeasBytes: our daemon returns what a real Kea returns, decoded and encoded anew, and its replies are
// Kea's byte by byte. They are replies to requests without an id.
func TestRepliesHaveKeasBytes(t *testing.T) {
	_, kea := startKea(t)
	var next wire.Reply // what our daemon returns
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, m.Register(mgr.Func("give", "", mgr.Read, func(context.Context, mgr.None) (wire.Reply, error) {
		return next, nil
	})))
	ours := filepath.Join(testkit.ShortDir(t), "ours.sock")
	testdaemon.Serve(t, m, &unix.Transport{Path: ours})
	say := func(socket, request string) string {
		conn := testdaemon.DialRaw(t, socket)
		_, err := io.WriteString(conn, request)
		require.NoError(t, err)
		text, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		return string(text)
	}
	for _, request := range []string{
		`{"command":"list-commands"}`, `{"command":"version-get"}`, `{"command":"status-get"}`, `{"command":"build-report"}`, `{"command":"server-tag-get"}`,
		`{"command":"config-get"}`, `{"command":"statistic-get-all"}`, `{"command":"statistic-get","arguments":{"name":"none"}}`,
		`{"command":"config-backend-pull"}`, `{"command":"leases-reclaim","arguments":{"remove":true}}`,
	} {
		want := say(kea, request)
		reply, err := wire.DecodeReply([]byte(want))
		require.NoError(t, err)
		require.NoError(t, reply.Err(), "Kea's failures have no `error`")
		if v, ok := reply.Arguments.(wire.Value); ok {
			var compact jsontext.Value = []byte(string(v))
			require.NoError(t, compact.Compact(jsontext.PreserveRawStrings(true)))
			reply.Arguments = wire.Value(compact)
		}
		next = reply
		require.Equal(t, want+"\n", say(ours, `{"command":"give"}`), request)
		require.GreaterOrEqual(t, len(want), 15, request)
	}
}

// TestScriptsFindTheResultOverHTTP: scripts run curl and search for Kea's spelling with grep.
func TestScriptsFindTheResultOverHTTP(t *testing.T) {
	curl, grep := testkit.NeedProgram(t, "curl", "curl"), testkit.NeedProgram(t, "grep", "grep")
	place := &httpd.Transport{Address: "127.0.0.1:0", Insecure: true, Authenticator: keaUsers{}}
	url := "http://" + openHTTP(t, place).Addr().String()
	for request, pattern := range map[string]string{
		`{"command":"server-tag-get"}`:                    `"result": 0`,
		`{"command":"echo"}`:                              `^\[ { "result": 0 } \]$`,
		`{"command":"echo","arguments":{"b":[],"a":[1]}}`: `^\[ { "arguments": { "a": \[ 1 \], "b": \[  \] }, "result": 0 } \]$`,
		`{"command":"no-such"}`:                           `"result": 2, "text": "'no-such' command not supported." } \]$`,
		`{"command":"echo","arguments":`:                  `^{ "result": 400, "text": "Bad Request: the body ends within the command.*" }$`,
		`{"command":"echo","id":0x1}`:                     `"result": 1, "text": "`,
		`{"command":"echo","id":7}`:                       `^\[ {"id":7,"result":0} \]$`,
	} {
		script := fmt.Sprintf(`%s -s -u admin:1234 -H 'Content-Type: application/json' -d "$1" %s | %s -q "$2"`, curl, url, grep)
		out, err := exec.Command("/bin/sh", "-c", script, "sh", request, pattern).CombinedOutput()
		require.NoError(t, err, "%s: %s", request, out)
	}
	lines, err := exec.Command(curl, "-s", "-u", "admin:1234", "-H", "Content-Type: application/json", "-H", "Accept: application/x-ndjson",
		"-d", `{"command":"echo"}`, url).Output()
	require.NoError(t, err)
	require.Equal(t, "{ \"result\": 0 }\n", string(lines))
	require.GreaterOrEqual(t, len(strings.TrimSpace(string(lines))), 15, "Ansible's module takes it for no reply")
}
