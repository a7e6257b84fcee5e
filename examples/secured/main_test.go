//go:build unix

package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSecuredDaemonDecidesByRole: the owner, the certificate "admin" and a user with a password may do what their roles
// allow, and each command is in the audit.
func TestSecuredDaemonDecidesByRole(t *testing.T) {
	dir, err := os.MkdirTemp("", "rp") // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	state, socket := filepath.Join(dir, "secured"), filepath.Join(dir, "s")
	require.NoError(t, os.Mkdir(state, 0o700))
	users, err := secrets.OpenUsers(filepath.Join(state, "users"))
	require.NoError(t, err)
	require.NoError(t, users.Add("ann", "monitor", "correct horse"))
	tlsAddress, httpsAddress := testkit.Port(t), testkit.Port(t)

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, state, socket, tlsAddress, httpsAddress) }()
	t.Cleanup(stop)
	pki := filepath.Join(state, "pki")
	ann := &http.Transport{
		Address: httpsAddress, Client: &tlsconf.Client{CA: filepath.Join(pki, "ca.pem")},
		Credentials: transport.Claim{User: "ann", Password: "correct horse"},
	}
	require.Eventually(t, func() bool { // unix is opened last
		select {
		case err := <-ended:
			require.NoError(t, err, "it has ended")
		default:
		}
		_, err := client.Do(t.Context(), &unix.Transport{Path: socket}, wire.Request{Command: "whoami"})
		return err == nil
	}, time.Minute, 10*time.Millisecond)

	for _, step := range []struct {
		from    transport.Dialer
		request wire.Request
		code    wire.Code
		reply   string
	}{
		{&unix.Transport{Path: socket}, wire.Request{Command: "count-add", Arguments: wire.Value(`{"n":2}`)}, wire.CodeSuccess, "2"},
		{&tcp.Transport{Address: tlsAddress, Client: tlsconf.ClientFrom(pki, "admin")}, wire.Request{Command: "count-add", Arguments: wire.Value(`{"n":3}`)}, wire.CodeSuccess, "5"},
		{ann, wire.Request{Command: "count-get"}, wire.CodeSuccess, "5"},
		{ann, wire.Request{Command: "count-add", Arguments: wire.Value(`{"n":1}`)}, wire.CodeForbidden, ""},
	} {
		reply, err := client.Do(t.Context(), step.from, step.request)
		require.NoError(t, err)
		require.Equal(t, step.code, reply.Code, reply.Text)
		if step.reply != "" {
			require.Equal(t, step.reply, string(reply.Arguments.(wire.Value)))
		}
	}
	stop()
	require.NoError(t, <-ended)
	summary, err := record.VerifyFiles(filepath.Join(state, "audit.jsonl"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, summary.Records, 8) // opened, two intents, four outcomes, closed
}
