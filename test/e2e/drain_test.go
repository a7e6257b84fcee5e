package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// If beDrained is in its environment, the test program is a daemon with listeners on all transports. The value is the
// directory of its CA.
const beDrained = "RUDDERPOST_TEST_BE_DRAINED"

// runDrained serves until SIGTERM. Its command "last" replies when the drain has begun. The reply is longer than the buffers
// between two processes.
func runDrained() int {
	env, err := alltransports.At(os.Getenv(beDrained))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: testdaemon.AnyCredential{}, Limits: mgr.Limits{DrainTimeout: 4 * testkit.Timeout}})
	err = m.Register(mgr.Async("last", "Answer when the end has begun.", mgr.Read, func(context.Context, mgr.None) (string, error) {
		fmt.Println("last")
		<-ctx.Done()
		return strings.Repeat("x", 4<<20), nil
	}))
	for _, tc := range env.Cases() {
		if err != nil {
			fmt.Println(err)
			return 1
		}
		var socket *mgr.Listener
		if socket, err = m.Open(ctx, tc.Listen(nil, alltransports.Limits{})); err == nil {
			fmt.Println(tc.Name, socket.Addr())
		}
	}
	if err := m.Run(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// The drain delivers the replies of all accepted commands on every transport, though the process ends right after it.
func TestDrainDeliversOnEveryTransport(t *testing.T) {
	for range 3 {
		drainOnce(t)
	}
}

func drainOnce(t *testing.T) {
	env := alltransports.New(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), beDrained+"="+env.Dir, "RUDDERPOST_TEST_SOCKET_DIR="+testkit.ShortDir(t), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	lines := bufio.NewScanner(out)
	ctx, cancel := context.WithTimeout(t.Context(), 5*testkit.Timeout) // longer than the drain
	defer cancel()

	type answer struct {
		tc    string
		reply wire.Reply
		err   error
	}
	answers := make(chan answer)
	cases := env.Cases()
	addrs := make([]alltransports.Address, len(cases))
	for i, tc := range cases {
		require.True(t, lines.Scan())
		name, addr, ok := strings.Cut(lines.Text(), " ")
		require.True(t, ok, lines.Text())
		require.Equal(t, tc.Name, name)
		addrs[i] = alltransports.Address(addr)
	}
	for i, tc := range cases {
		go func() {
			reply, err := client.Do(ctx, tc.Dial(addrs[i], env.Client), wire.Request{Command: "last"})
			answers <- answer{tc.Name, reply, err}
		}()
	}
	for range cases { // wait until all commands are in flight
		require.True(t, lines.Scan())
		require.Equal(t, "last", lines.Text())
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	for range cases {
		a := <-answers
		require.NoError(t, a.err, a.tc)
		require.Equal(t, wire.CodeSuccess, a.reply.Code, a.tc)
		require.Len(t, testdaemon.Arguments(t, a.reply), 4<<20+2, a.tc)
	}
	require.False(t, lines.Scan(), lines.Text())
	require.NoError(t, cmd.Wait())
}
