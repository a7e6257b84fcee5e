package security_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/transport/websocket"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// The same commands leave the same record on every transport: principal, listener, command, arguments and result.
func TestCommandsLeaveTheSameRecordOnEveryTransport(t *testing.T) {
	env := alltransports.New(t)
	for _, tc := range env.Cases() {
		t.Run(tc.Name, func(t *testing.T) {
			who := callers(t, env, tc)[0]
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			log, err := audit.Open(audit.Options{Path: path, Arguments: audit.Clear, Sync: audit.SyncNone, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			policy, err := access.NewPolicy(access.Options{NoOwner: true, Principals: []access.Principal{{Subject: who.subject, Role: "operator"}}})
			require.NoError(t, err)
			m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: policy, Recorder: log})
			var ran atomic.Value
			require.NoError(t, m.Register(zones(&ran)...))
			require.NoError(t, m.Register(mgr.Func("zone-set", "", mgr.Write, func(_ context.Context, in struct {
				Zone string `json:"zone"`
			}) (string, error) {
				return in.Zone, nil
			}), mgr.Async("login-set", "", mgr.Write, func(_ context.Context, in struct {
				Password mgr.Secret `json:"password"`
			}) (mgr.None, error) {
				return mgr.None{}, fmt.Errorf("cannot set %s", in.Password)
			})))
			stop := testdaemon.Serve(t, m)
			socket, err := m.Open(t.Context(), &mgr.ListenerConfig{Name: "front", Transport: tc.Listen(t, alltransports.Limits{OnRefused: func(r transport.Refusal) { log.Refused(r) }})})
			require.NoError(t, err)
			for command, arguments := range map[string]string{
				"zone-set": `{"zone":"a.example"}`, "login-set": `{"password":"canary-1"}`, "look": `{"x":1}`, "end": `{}`, "no-such": `[1]`,
			} {
				_, err := client.Do(t.Context(), tc.Dial(socket.Addr(), who.Identity), wire.Request{Command: command, Arguments: wire.Value(arguments)})
				require.NoError(t, err)
			}
			if tc.Passwords {
				id := who.Identity
				id.Claim = transport.Claim{User: "ann", Password: "canary-2"}
				_, err := client.Do(t.Context(), tc.Dial(socket.Addr(), id), wire.Request{Command: "look"})
				require.Error(t, err)
			}
			require.NoError(t, stop())
			require.NoError(t, log.Close())

			summary, err := record.VerifyFiles(path)
			require.NoError(t, err)
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NotContains(t, string(text), "canary")
			seen := map[string]bool{}
			intents := map[uint64]string{}
			for _, e := range testdaemon.Entries(t, path) {
				if e.Event == record.Opened || e.Event == record.Closed {
					continue
				}
				require.Equal(t, tc.Name, e.Transport)
				require.WithinDuration(t, time.Now(), e.Time, testkit.Timeout)
				if e.Event == record.LoginRefused {
					seen["login-refused "+e.Claim] = true
					continue
				}
				require.Contains(t, e.Principal, who.subject)
				require.Equal(t, "front", e.Listener)
				require.True(t, strings.HasPrefix(e.Session, tc.Name+"-"), e.Session)
				require.NotEmpty(t, e.Address)
				require.False(t, e.Digest.IsZero())
				if e.Event == record.Intent {
					intents[e.Seq] = e.Command
				} else if e.Access == "write" && e.Event == record.Outcome {
					require.Equal(t, e.Command, intents[e.Intent])
				}
				seen[fmt.Sprintf("%s %s %s %s %d", e.Event, e.Command, e.Access, e.Arguments, e.Result)] = true
			}
			want := map[string]bool{
				`intent zone-set write {"zone":"a.example"} 0`: true, `outcome zone-set write {"zone":"a.example"} 0`: true,
				`intent login-set write  0`: true, `outcome login-set write  1`: true,
				`outcome look read  0`: true, `denied end admin  403`: true, `outcome no-such   2`: true,
			}
			if tc.Passwords {
				want["login-refused ann"] = true
			}
			require.Equal(t, want, seen)
			require.NotZero(t, summary)
		})
	}
}

// The record of a killed daemon has every command whose reply a client has read.
func TestKilledDaemonHasRecordedWhatClientsWereTold(t *testing.T) {
	dir := testkit.ShortDir(t)
	config := filepath.Join(dir, "config.toml")
	require.NoError(t, os.WriteFile(config, []byte(`
state-dir = "run"
[[listen]]
transport = "unix"
path = "run/s"
[[listen]]
transport = "tcp"
address = "127.0.0.1:0"
pki = "auto"
[[listen]]
transport = "websocket"
address = "127.0.0.1:0"
pki = "auto"
[audit]
file = "run/audit.jsonl"
sync = "none"
`), 0o600))
	path := filepath.Join(dir, "run", "audit.jsonl")
	for round := range 6 {
		d := testkit.StartProgram(t, dir, nil, testkit.Program(t, "rudderpostd"), "-c", config)
		d.Listening(t)
		var mu sync.Mutex
		told := map[string]int{} // replies, by session
		var clients sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		pki := tlsconf.ClientFrom(filepath.Join(dir, "run", "pki"), "")
		for _, dialer := range []transport.Dialer{
			&unix.Transport{Path: dir + "/run/s"}, &unix.Transport{Path: dir + "/run/s"},
			&tcp.Transport{Address: d.ListeningOn(t, "tls"), Client: pki}, &websocket.Transport{Address: d.ListeningOn(t, "wss"), Client: pki},
		} {
			c, err := client.Dial(ctx, dialer)
			require.NoError(t, err)
			defer func() { _ = c.Close() }()
			reply, err := c.Do(ctx, wire.Request{Command: "whoami"})
			require.NoError(t, err)
			var who struct {
				Session string `json:"session"`
			}
			raw, _ := reply.Arguments.(wire.Value)
			require.NoError(t, json.Unmarshal(raw, &who))
			for range 4 {
				clients.Go(func() {
					for {
						reply, err := c.Do(ctx, wire.Request{Command: "log-level-set", Arguments: wire.Value(`{"level":"error"}`)})
						if err != nil || reply.Code != 0 {
							return
						}
						mu.Lock()
						told[who.Session]++
						mu.Unlock()
					}
				})
			}
		}
		time.Sleep(time.Duration(50+rand.IntN(200)) * time.Millisecond)
		require.NoError(t, d.Process.Signal(syscall.SIGKILL))
		<-d.Ended
		cancel()
		clients.Wait()

		recorded := map[string]int{}
		for _, e := range testdaemon.EntriesOfKilled(t, path) {
			switch {
			case e.Event == record.Opened:
				clear(recorded) // the next process gives its sessions the same names
			case e.Event == record.Outcome && e.Command == "log-level-set" && e.Result == 0:
				recorded[e.Session]++
			}
		}
		require.Len(t, told, 4)
		for session, replies := range told {
			require.GreaterOrEqual(t, recorded[session], replies, "round %d, %s", round, session)
			require.NotZero(t, replies)
		}
	}
	d := testkit.StartProgram(t, dir, nil, testkit.Program(t, "rudderpostd"), "-c", config) // it appends after an unfinished line
	testkit.Eventually(t, func() bool { return strings.Contains(d.Out.String(), "wss://") }, "it does not listen everywhere")
	require.NoError(t, d.Process.Signal(syscall.SIGTERM))
	require.Zero(t, d.Wait(t))
	p := testkit.StartProgram(t, dir, nil, testkit.Program(t, "steer"), "audit", "verify", path)
	require.Zero(t, p.Wait(t), p.Err.String())
}
