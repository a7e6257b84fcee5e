package rudderpost_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/client"
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

// A setting is what an admin does to the one key that all of them change: it reads it, or sets it if the
// configuration is still the one that was read.
type setting struct {
	set   bool
	value int // to set
	hash  string
}

// A settled is what came of it.
type settled struct {
	value int // that was read
	hash  string
	done  bool // it was set
}

// oneSetting is how such a key must behave, whoever does what at the same time: as if one did after the other.
var oneSetting = porcupine.Model{
	Init: func() any { return settled{} }, // nobody knows the first hash before it is read
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

// Four admins on four transports change one setting a thousand times, each only if nobody else has since he
// looked. What they see is as if they had taken turns, and no change is lost.
func TestTwoAdmins(t *testing.T) {
	const edits = 1000
	dir := shortDir(t)
	path := filepath.Join(dir, "config.toml")
	require.NoError(t, os.WriteFile(path, []byte(`
state-dir = "run"
log-level = "error"
[[listen]]
transport = "unix"
path = "run/s"
[[listen]]
transport = "tcp"
address = "127.0.0.1:7760"
pki = "auto"
[[listen]]
transport = "http"
address = "127.0.0.1:7761"
pki = "auto"
[[listen]]
transport = "websocket"
address = "127.0.0.1:7762"
pki = "auto"
`), 0o600))
	d := start(t, dir, nil, program(t, "rudderpostd"), "-c", "config.toml")
	d.listening(t)
	eventually(t, func() bool { return strings.Contains(d.out.String(), "wss://") }, "it does not listen everywhere")
	pki := tlsconf.ClientFrom(filepath.Join(dir, "run", "pki"), "")
	began := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	changed := map[int]bool{}
	var admins sync.WaitGroup
	for i, dialer := range []transport.Dialer{
		&unix.Transport{Path: filepath.Join(dir, "run", "s")}, &tcp.Transport{Address: "127.0.0.1:7760", Client: pki},
		&http.Transport{Address: "127.0.0.1:7761", Client: pki}, &websocket.Transport{Address: "127.0.0.1:7762", Client: pki},
	} {
		admins.Go(func() {
			record := func(in setting, do func() settled) settled {
				call := time.Since(began)
				out := do()
				end := time.Since(began)
				mu.Lock()
				defer mu.Unlock()
				history = append(history, porcupine.Operation{ClientId: i, Input: in, Call: int64(call), Output: out, Return: int64(end)})
				return out
			}
			for n := 0; n < edits/4; {
				var section map[string]json.RawMessage
				seen := record(setting{}, func() settled {
					reply := give(t, dialer, "config-get", "{}")
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
				value := 10_000 + i*edits + n // which nobody else ever sets
				section["limits"] = json.RawMessage(fmt.Sprintf(`{"max-queued":%d}`, value))
				text, err := json.Marshal(map[string]any{"Rudderpost": section, "if-hash": seen.hash})
				require.NoError(t, err)
				out := record(setting{set: true, value: value, hash: seen.hash}, func() settled {
					reply := give(t, dialer, "config-set", string(text))
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
				}
			}
		})
	}
	admins.Wait()
	require.Len(t, changed, edits)
	verdict := porcupine.CheckOperationsTimeout(oneSetting, history, patience)
	require.Equal(t, porcupine.Ok, verdict, "%d operations", len(history))
	t.Logf("%d edits in %s, %d operations", edits, time.Since(began).Round(time.Millisecond), len(history))

	reply := give(t, &unix.Transport{Path: filepath.Join(dir, "run", "s")}, "config-write", "{}")
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var value int
	_, rest, _ := strings.Cut(string(text), "max-queued = ")
	_, err = fmt.Sscan(rest, &value)
	require.NoError(t, err)
	require.True(t, changed[value])
	require.NoError(t, d.Process.Signal(syscall.SIGTERM))
	require.Zero(t, d.wait(t))
}

func give(t *testing.T, dialer transport.Dialer, command, arguments string) wire.Reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reply, err := client.Do(ctx, dialer, wire.Request{Command: command, Arguments: wire.Value(arguments)})
	require.NoError(t, err)
	return reply
}
