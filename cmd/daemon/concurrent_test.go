package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// pauseAtStep makes the daemon in dir block at a step of a transaction. paused waits until it blocks there; resume lets
// it continue.
func pauseAtStep(t *testing.T, dir, step string) (paused func() (resume func())) {
	t.Helper()
	fail, pipe := filepath.Join(dir, "fail"), filepath.Join(dir, "go")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	require.NoError(t, os.WriteFile(fail, []byte(step+"=wait"), 0o600))
	return func() func() {
		f, err := os.OpenFile(pipe, os.O_WRONLY, 0) // blocks until the daemon opens the pipe
		require.NoError(t, err)
		require.NoError(t, os.Remove(fail))
		require.NoError(t, os.Remove(pipe))
		return func() { require.NoError(t, f.Close()) }
	}
}

// Each transaction gets a reply, and the last one is in force.
func TestConcurrentTransactionsRunOneAfterTheOther(t *testing.T) {
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, oneSocket)
	state, path := p.configState(), p.listening()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 10 {
				request := wire.Request{Command: "config-reload"}
				if i%2 == 0 {
					request = wire.Request{Command: "config-set", Arguments: wire.Value(`{"Rudderpost":{"listen":[{"transport":"unix","path":"control.sock"}],"limits":{"max-rate":` + strconv.Itoa(100000+i*10+j) + `}}}`)}
				}
				reply, err := client.Do(t.Context(), &unix.Transport{Path: path}, request)
				if err == nil {
					err = reply.Err()
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 5 {
		require.NoError(t, p.Process.Signal(syscall.SIGHUP))
	}
	all.Wait()
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
	require.Equal(t, state, p.configState())
	p.stop()
}

// If several clients change the configuration that they have read, one commits and the others get an error.
func TestOneOfManyTransactionsWithTheSameHashCommits(t *testing.T) {
	p := startIn(t, testkit.ShortDir(t), oneSocket)
	hash, path := p.configHash(), p.listening()
	results := make(chan wire.Code, 8)
	for i := range cap(results) {
		go func() {
			reply, err := client.Do(t.Context(), &unix.Transport{Path: path}, wire.Request{Command: "config-set",
				Arguments: wire.Value(`{"Rudderpost":{"listen":[{"transport":"unix","path":"control.sock"}],"limits":{"max-rate":` + strconv.Itoa(100000+i) + `}},"if-hash":"` + hash + `"}`)})
			if err != nil {
				t.Error(err)
			}
			results <- reply.Code
		}()
	}
	count := map[wire.Code]int{}
	for range cap(results) {
		count[<-results]++
	}
	require.Equal(t, map[wire.Code]int{wire.CodeSuccess: 1, wire.CodeConflict: 7}, count)
	p.stop()
}

// A SIGHUP during config-set waits until it ends. Then the configuration of the file is in force.
func TestHangupDuringTransactionReloadsAfterIt(t *testing.T) {
	for _, step := range []string{"before parse", "after listen", "before swap", "after swap", "after close"} {
		t.Run(step, func(t *testing.T) {
			dir := testkit.ShortDir(t)
			p := startIn(t, dir, oneSocket)
			state, path := p.configState(), p.listening()
			paused := pauseAtStep(t, dir, step)
			set := make(chan wire.Reply, 1)
			go func() {
				reply, err := client.Do(t.Context(), &unix.Transport{Path: path}, wire.Request{Command: "config-set",
					Arguments: wire.Value(`{"Rudderpost":{"listen":[{"transport":"unix","path":"control.sock"}],"limits":{"max-rate":7777}}}`)})
				if err != nil {
					t.Error(err)
				}
				set <- reply
			}()
			resume := paused()
			require.NoError(t, p.Process.Signal(syscall.SIGHUP))
			resume()
			require.Equal(t, wire.CodeSuccess, (<-set).Code)
			testkit.Eventually(t, func() bool { return strings.Contains(p.Err.String(), "the configuration has been read again") }, "SIGHUP is forgotten")
			require.Equal(t, state, p.configState())
			p.stop()
		})
	}
}

// A transaction whose client has disconnected commits or fails as a whole. The next one finds a consistent daemon.
func TestClientLeavesDuringTransaction(t *testing.T) {
	for _, step := range []string{"before parse", "after hooks", "before swap", "after swap", "after close"} {
		t.Run(step, func(t *testing.T) {
			dir := testkit.ShortDir(t)
			p := startIn(t, dir, oneSocket)
			old := p.configState()
			paused := pauseAtStep(t, dir, step)
			writeConfig(t, dir, oneSocket+"[limits]\nmax-rate = 7777\n[metrics]\nlisten = \"127.0.0.1:0\"\n")
			conn, err := (&unix.Transport{Path: p.listening()}).Dial(t.Context())
			require.NoError(t, err)
			require.NoError(t, conn.Send(t.Context(), []byte(`{"command":"config-reload"}`)))
			resume := paused()
			require.NoError(t, conn.Close())
			resume()
			require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
			require.NotEqual(t, old, p.configState())
			writeConfig(t, dir, oneSocket)
			require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
			require.Equal(t, old, p.configState())
			p.stop()
		})
	}
}

// SIGTERM during a transaction drains and ends the daemon. A reload during the drain is refused.
func TestStopDuringTransaction(t *testing.T) {
	for _, step := range []string{"before parse", "after listen", "after hooks", "before swap", "after swap", "after close"} {
		t.Run(step, func(t *testing.T) {
			dir := testkit.ShortDir(t)
			writeHook(t, dir, "hook-a")
			p := startIn(t, dir, oneSocket+"[limits]\ndrain-timeout = \"1h\"\n")
			path := p.listening()
			session, err := client.Dial(t.Context(), &unix.Transport{Path: path})
			require.NoError(t, err)
			defer session.Close()
			_, err = session.Do(t.Context(), wire.Request{Command: "whoami"})
			require.NoError(t, err)
			paused := pauseAtStep(t, dir, step)
			text := oneSocket + "[limits]\ndrain-timeout = \"1h\"\n[[listen]]\ntransport = \"unix\"\npath = \"more\"\n[[hook]]\nname = \"a\"\nexec = [\"hook-a\"]\n"
			writeConfig(t, dir, text)
			answered := make(chan error, 1)
			go func() {
				_, err := client.Do(t.Context(), &unix.Transport{Path: path}, wire.Request{Command: "config-reload"})
				answered <- err
			}()
			resume := paused()
			require.NoError(t, p.Process.Signal(syscall.SIGTERM))
			if step != "before swap" && step != "after swap" { // the loop is blocked at these two steps
				testkit.Eventually(t, func() bool { return !exists(path) }, "the drain does not begin")
				reply, err := session.Do(t.Context(), wire.Request{Command: "config-reload"})
				if err == nil {
					require.Equal(t, wire.CodeShuttingDown, reply.Code)
				}
			}
			require.NoError(t, p.Process.Signal(syscall.SIGHUP))
			resume()
			require.NoError(t, <-answered, "an accepted command gets its reply")
			require.Zero(t, p.wait(), p.Err.String())
			requireSocketRemoved(t, dir)
			require.NoFileExists(t, filepath.Join(dir, "more"))
			waitForNoHooks(t, dir)
			still, err := os.ReadFile(filepath.Join(dir, "config.toml"))
			require.NoError(t, err)
			require.Equal(t, text, string(still))
		})
	}
}
