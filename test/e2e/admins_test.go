package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/transport/websocket"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// A setting is one operation of an admin on the key that all admins change: a read, or a write that succeeds only if the
// hash of the configuration is still the given one.
type setting struct {
	set   bool
	value int // for a write
	hash  string
}

// A settled is the result of a setting.
type settled struct {
	value int // for a read
	hash  string
	done  bool // the write succeeded
}

// oneSetting is the model of the key: concurrent operations have the results of some sequence of them (linearizability).
var oneSetting = porcupine.Model{
	Init: func() any { return settled{} }, // the first read tells the hash
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(settled), input.(setting), output.(settled)
		switch {
		case !in.set:
			known := settled{value: out.value, hash: out.hash}
			return now.hash == "" || now == known, known
		case out.done:
			return now.hash == "" || now.hash == in.hash, settled{value: in.value, hash: out.hash}
		}
		return now.hash != in.hash, now
	},
	Equal: func(a, b any) bool { return a == b },
}

// The model finds a lost write, a stale read, a torn read and a false conflict.
func TestModelOfOneSettingFindsLostAndStaleValues(t *testing.T) {
	get := func(at int64, value int, hash string) porcupine.Operation {
		return porcupine.Operation{Call: at, Return: at + 1, Input: setting{}, Output: settled{value: value, hash: hash}}
	}
	set := func(at int64, ifHash string, value int, out settled) porcupine.Operation {
		return porcupine.Operation{Call: at, Return: at + 1, Input: setting{set: true, value: value, hash: ifHash}, Output: out}
	}
	two, tooLate := settled{hash: "two", done: true}, settled{}
	for name, test := range map[string]struct {
		behind []porcupine.Operation
		want   bool
	}{
		"one after the other": {[]porcupine.Operation{set(2, "one", 2, two), get(4, 2, "two")}, true},
		"too late":            {[]porcupine.Operation{set(2, "one", 2, two), set(4, "one", 3, tooLate)}, true},
		"both at once":        {[]porcupine.Operation{set(2, "one", 3, tooLate), set(2, "one", 2, two)}, true},
		"a lost change":       {[]porcupine.Operation{set(2, "one", 2, two), set(2, "one", 3, settled{hash: "three", done: true})}, false},
		"a stale reading":     {[]porcupine.Operation{set(2, "one", 2, two), get(4, 1, "one")}, false},
		"a torn reading":      {[]porcupine.Operation{set(2, "one", 2, two), get(4, 2, "one")}, false},
		"a false conflict":    {[]porcupine.Operation{set(2, "one", 2, tooLate)}, false},
	} {
		require.Equal(t, test.want, porcupine.CheckOperations(oneSetting, append(test.behind, get(0, 1, "one"))), name)
	}
}

// requireWhole requires that config-write has written the file to its end. Two such files differ only in the value of the
// setting. It returns the text with N as the value, which must equal like, unless like is empty.
func requireWhole(t *testing.T, path, like string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	whole := regexp.MustCompile(`max-queued = \d+\n`).ReplaceAllString(string(text), "max-queued = N\n")
	require.Contains(t, whole, "max-queued = N\n")
	if like != "" {
		require.Equal(t, like, whole)
	}
	return whole
}

// Four admins on four transports change one setting a thousand times, each with the hash that it has read. The results are
// linearizable, no change is lost, and the file that config-write writes in the meantime is whole.
func TestConcurrentAdminsLoseNoChange(t *testing.T) {
	const edits = 1000
	dir := testkit.ShortDir(t)
	path := filepath.Join(dir, "config.toml")
	require.NoError(t, os.WriteFile(path, []byte(`
state-dir = "run"
log-level = "error"
[[listen]]
transport = "unix"
path = "run/s"
[[listen]]
transport = "tcp"
address = "127.0.0.1:0"
pki = "auto"
[[listen]]
transport = "http"
address = "127.0.0.1:0"
pki = "auto"
[[listen]]
transport = "websocket"
address = "127.0.0.1:0"
pki = "auto"
`), 0o600))
	d := testkit.StartProgram(t, dir, nil, testkit.Program(t, "rudderpostd"), "-c", "config.toml")
	d.Listening(t)
	pki := tlsconf.ClientFrom(filepath.Join(dir, "run", "pki"), "")
	socket := &unix.Transport{Path: filepath.Join(dir, "run", "s")}
	require.Equal(t, wire.CodeSuccess, testdaemon.Give(t, socket, "config-write", "{}").Code)
	like := requireWhole(t, path, "")
	began := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	changed := map[int]bool{}
	var admins sync.WaitGroup
	for i, dialer := range []transport.Dialer{
		socket, &tcp.Transport{Address: d.ListeningOn(t, "tls"), Client: pki},
		&http.Transport{Address: d.ListeningOn(t, "https"), Client: pki},
		&websocket.Transport{Address: d.ListeningOn(t, "wss"), Client: pki},
	} {
		do := onConn(t, dialer)
		admins.Go(func() {
			record := func(in setting, try func() settled) settled {
				call := time.Since(began)
				out := try()
				end := time.Since(began)
				mu.Lock()
				defer mu.Unlock()
				history = append(history, porcupine.Operation{ClientId: i, Input: in, Call: int64(call), Output: out, Return: int64(end)})
				return out
			}
			for n := 0; n < edits/4; {
				var section map[string]json.RawMessage
				seen := record(setting{}, func() settled {
					reply := do("config-get", "{}")
					var got struct {
						Rudderpost map[string]json.RawMessage
						Hash       string
					}
					require.NoError(t, json.Unmarshal(reply.Arguments.(wire.Value), &got))
					section = got.Rudderpost
					var limits struct {
						MaxQueued int `json:"max-queued"`
					}
					require.NoError(t, json.Unmarshal(section["limits"], &limits))
					return settled{value: limits.MaxQueued, hash: got.Hash}
				})
				value := 10_000 + i*edits + n // no other admin sets this value
				section["limits"] = json.RawMessage(fmt.Sprintf(`{"max-queued":%d}`, value))
				text, err := json.Marshal(map[string]any{"Rudderpost": section, "if-hash": seen.hash})
				require.NoError(t, err)
				out := record(setting{set: true, value: value, hash: seen.hash}, func() settled {
					reply := do("config-set", string(text))
					if reply.Code == wire.CodeConflict {
						return settled{}
					}
					require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
					var got struct{ Hash string }
					require.NoError(t, json.Unmarshal(reply.Arguments.(wire.Value), &got))
					return settled{hash: got.Hash, done: true}
				})
				if out.done {
					n++
					mu.Lock()
					changed[value] = true
					mu.Unlock()
					if n%25 == 0 {
						require.Equal(t, wire.CodeSuccess, do("config-write", "{}").Code)
						requireWhole(t, path, like)
					}
				}
			}
		})
	}
	admins.Wait()
	require.Len(t, changed, edits)
	verdict := porcupine.CheckOperationsTimeout(oneSetting, history, testkit.Timeout)
	require.Equal(t, porcupine.Ok, verdict, "%d operations", len(history))
	t.Logf("%d edits in %s, %d operations", edits, time.Since(began).Round(time.Millisecond), len(history))

	reply := testdaemon.Give(t, socket, "config-write", "{}")
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var value int
	_, rest, _ := strings.Cut(string(text), "max-queued = ")
	_, err = fmt.Sscan(rest, &value)
	require.NoError(t, err)
	require.True(t, changed[value])
	require.NoError(t, d.Process.Signal(syscall.SIGTERM))
	require.Zero(t, d.Wait(t))
}

// onConn returns a function that gives commands on one conn, which the end of the test closes. Over HTTP each command has a
// conn of its own.
func onConn(t *testing.T, dialer transport.Dialer) func(command, arguments string) wire.Reply {
	t.Helper()
	if _, web := dialer.(*http.Transport); web {
		return func(command, arguments string) wire.Reply { return testdaemon.Give(t, dialer, command, arguments) }
	}
	c, err := client.Dial(t.Context(), dialer)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return func(command, arguments string) wire.Reply {
		ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
		defer cancel()
		reply, err := c.Do(ctx, wire.Request{Command: command, Arguments: wire.Value(arguments)})
		require.NoError(t, err)
		return reply
	}
}
