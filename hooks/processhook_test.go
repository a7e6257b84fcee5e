package hooks_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

// A fakeProcess is an osProcess in virtual time. A function of the test, its script, runs as the process.
type fakeProcess struct {
	net.Conn          // the daemon's end of its stdout; writes go to its stdin
	in       net.Conn // the daemon's end of its stdin
	stdin    *bufio.Reader
	stdout   net.Conn
	ends     []net.Conn
	exited   chan struct{}
	once     sync.Once

	mu  sync.Mutex
	log []string // the signals and the end of stdin, each with its time
}

func newFakeProcess(script func(a *fakeProcess)) *fakeProcess {
	a := &fakeProcess{exited: make(chan struct{})}
	var stdin net.Conn
	stdin, a.in = net.Pipe()
	a.stdout, a.Conn = net.Pipe()
	a.stdin, a.ends = bufio.NewReader(stdin), []net.Conn{stdin, a.stdout}
	go func() {
		script(a)
		a.exit()
	}()
	return a
}

func (a *fakeProcess) exit() {
	a.once.Do(func() {
		for _, end := range a.ends {
			_ = end.Close()
		}
		close(a.exited)
	})
}

// receive returns a frame, or nil at the end of stdin.
func (a *fakeProcess) receive() frame {
	line, err := a.stdin.ReadBytes('\n')
	if err != nil {
		return nil
	}
	var s frame
	if err := json.Unmarshal(line, &s); err != nil {
		panic(err)
	}
	return s
}

func (a *fakeProcess) send(format string, args ...any) {
	_, _ = fmt.Fprintf(a.stdout, format+"\n", args...)
}

func (a *fakeProcess) introduce(name string) {
	a.receive()
	a.send(`{"introduce":{"commands":[{"name":"%s","summary":"","access":"read"}]}}`, name)
}

func (a *fakeProcess) note(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.log = append(a.log, fmt.Sprintf("%s %s", time.Now().Format("04:05"), what))
}

func (a *fakeProcess) notes() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log
}

func (a *fakeProcess) Write(p []byte) (int, error)        { return a.in.Write(p) }
func (a *fakeProcess) SetWriteDeadline(t time.Time) error { return a.in.SetWriteDeadline(t) }
func (a *fakeProcess) Pid() int                           { return 1 }
func (a *fakeProcess) Exited() <-chan struct{}            { return a.exited }
func (a *fakeProcess) HowItEnded() string                 { return "it ended" }
func (a *fakeProcess) AwaitEnd()                          { <-a.exited }
func (a *fakeProcess) Terminate()                         { a.note("terminate") }
func (a *fakeProcess) Close() error                       { return errors.Join(a.in.Close(), a.Conn.Close()) }
func (a *fakeProcess) CloseInput() {
	a.note("close stdin")
	_ = a.in.Close()
}

func (a *fakeProcess) Kill() {
	a.note("kill")
	a.exit()
}

// withFakeProcesses runs a daemon in virtual time. Its first process runs the first script, and so on; the last
// script is repeated.
func withFakeProcesses(t *testing.T, test func(t *testing.T, d *daemon, started func() []time.Duration, current func() *fakeProcess), scripts ...func(a *fakeProcess)) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var times []time.Time
		var last *fakeProcess
		d := start(t, func(s *hooks.Set) {
			s.StopTimeout = 0
			s.StartWith(func(*hooks.Config) (hooks.Process, error) {
				mu.Lock()
				defer mu.Unlock()
				times = append(times, time.Now())
				last = newFakeProcess(scripts[min(len(times), len(scripts))-1])
				return last, nil
			})
		})
		pauses := func() (all []time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			for i := range len(times) - 1 {
				all = append(all, times[i+1].Sub(times[i]))
			}
			return all
		}
		test(t, d, pauses, func() *fakeProcess {
			mu.Lock()
			defer mu.Unlock()
			return last
		})
	})
}

// fakeHook is the configuration of each fakeProcess.
var fakeHook = hooks.Config{Name: "fake", Exec: []string{"/fake"}}

func exits(a *fakeProcess) {
	a.introduce("act")
	time.Sleep(time.Millisecond) // so that the daemon has read it
}

func repliesToAll(a *fakeProcess) {
	a.introduce("act")
	for request := a.receive(); request != nil; request = a.receive() {
		a.send(`{"id":%v,"result":0}`, request["id"])
	}
}

// maxFirstPause is the longest pause after a first failure.
const maxFirstPause = 100 * time.Millisecond

func TestPausesGrowUntilTheHookIsBroken(t *testing.T) {
	withFakeProcesses(t, func(t *testing.T, d *daemon, started func() []time.Duration, _ func() *fakeProcess) {
		require.NoError(t, d.load(fakeHook))
		time.Sleep(50 * time.Millisecond)
		s := d.status("fake")
		require.Equal(t, "restarting", s.State)
		require.Equal(t, "it ended", s.LastError)
		require.True(t, s.RetryAt.After(time.Now()))
		r := d.ask("act", "")
		require.Equal(t, wire.CodeShuttingDown, r.Code)
		require.ErrorIs(t, r.Err(), &wire.Error{Code: wire.CodeShuttingDown, Word: "hook-down"})
		require.Contains(t, r.Text, "the hook 'fake' has ended, and is started again at ")

		time.Sleep(4 * time.Minute)
		pauses := started()
		require.GreaterOrEqual(t, len(pauses), 7)
		for i, limit := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, time.Minute, time.Minute, time.Minute} {
			require.LessOrEqual(t, pauses[i], limit+time.Millisecond)
			require.Greater(t, pauses[i], limit*3/4-time.Millisecond)
		}
		s = d.status("fake")
		require.Equal(t, "broken", s.State)
		require.Contains(t, d.ask("act", "").Text, fmt.Sprintf("the hook 'fake' has failed %d times in a row, the last time because it ended; it is tried again at %s",
			len(pauses)+1, s.RetryAt.Format(time.RFC3339)))

		// A commit with the same configuration starts it at once.
		before := len(started())
		require.NoError(t, d.load(fakeHook))
		synctest.Wait()
		require.Len(t, started(), before+1)
	}, exits)
}

// refuses is a script of a process that ends before it has registered its commands.
func refuses(a *fakeProcess) { a.receive() }

// registersOther is a script of a process that registers another command than the others.
func registersOther(a *fakeProcess) {
	a.introduce("another")
	a.receive()
}

// The transitions of a processHook from its first instance on. Each row has the state after a time.
func TestHookStates(t *testing.T) {
	for name, each := range map[string]struct {
		scripts  []func(a *fakeProcess)
		after    time.Duration
		state    string
		restarts int
	}{
		"new to running":        {[]func(a *fakeProcess){repliesToAll}, time.Millisecond, "running", 0},
		"running to restarting": {[]func(a *fakeProcess){exits, repliesToAll}, 50 * time.Millisecond, "restarting", 0},
		"restarting to running": {[]func(a *fakeProcess){exits, repliesToAll}, time.Second, "running", 1},
		"restarting to broken":  {[]func(a *fakeProcess){exits, refuses}, 10 * time.Second, "broken", 0},
		"broken to running":     {[]func(a *fakeProcess){exits, refuses, refuses, refuses, refuses, repliesToAll}, 2 * time.Minute, "running", 1},
		"broken to failed":      {[]func(a *fakeProcess){exits, refuses, refuses, refuses, refuses, registersOther}, 2 * time.Minute, "failed", 0},
		"restarting to failed":  {[]func(a *fakeProcess){exits, registersOther}, time.Second, "failed", 0},
	} {
		t.Run(name, func(t *testing.T) {
			withFakeProcesses(t, func(t *testing.T, d *daemon, started func() []time.Duration, _ func() *fakeProcess) {
				require.NoError(t, d.load(fakeHook))
				time.Sleep(each.after)
				s := d.status("fake")
				require.Equal(t, each.state, s.State)
				require.Equal(t, each.restarts, s.Restarts)
				code := wire.CodeShuttingDown
				if each.state == "running" {
					code = wire.CodeSuccess
				}
				require.Equal(t, code, d.ask("act", "").Code)
			}, each.scripts...)
		})
	}
}

// A hook that was unloaded is in the state stopping.
func TestUnloadedHookIsStopping(t *testing.T) {
	withFakeProcesses(t, func(t *testing.T, d *daemon, _ func() []time.Duration, _ func() *fakeProcess) {
		require.NoError(t, d.load(fakeHook))
		state := d.hooks.StateOf("fake")
		require.Equal(t, "running", state())
		require.NoError(t, d.load())
		synctest.Wait()
		require.Equal(t, "stopping", state())
	}, repliesToAll)
}

// After an instance of more than a minute the next failure counts as the first one.
func TestStableInstanceResetsTheFailures(t *testing.T) {
	withFakeProcesses(t, func(t *testing.T, d *daemon, started func() []time.Duration, _ func() *fakeProcess) {
		require.NoError(t, d.load(fakeHook))
		time.Sleep(10 * time.Minute)
		pauses := started()
		require.Len(t, pauses, 6)
		require.LessOrEqual(t, pauses[5]-2*time.Minute, maxFirstPause)
		require.Zero(t, d.ask("act", "").Code)
		require.Equal(t, 6, d.status("fake").Restarts)
	}, exits, exits, exits, exits, exits, func(a *fakeProcess) {
		a.introduce("act")
		time.Sleep(2 * time.Minute)
	}, repliesToAll)
}

// A restarted process that registers other commands is not started again.
func TestOtherRegistrationFailsTheHook(t *testing.T) {
	withFakeProcesses(t, func(t *testing.T, d *daemon, started func() []time.Duration, _ func() *fakeProcess) {
		require.NoError(t, d.load(fakeHook))
		time.Sleep(time.Hour)
		require.Len(t, started(), 1)
		require.Equal(t, "failed", d.status("fake").State)
		r := d.ask("act", "")
		require.Equal(t, wire.CodeShuttingDown, r.Code)
		require.Equal(t, "the hook 'fake' does not run: it introduced itself as something else than before; load the configuration again", r.Text)
		require.NoError(t, d.load(fakeHook))
		require.Equal(t, "running", d.status("fake").State)
		require.Zero(t, d.ask("act", "").Code)
	}, exits, func(a *fakeProcess) {
		a.introduce("another")
		a.receive()
	}, repliesToAll)
}

// A process that does not send introduce within 10 s is killed.
func TestRegistrationTimesOut(t *testing.T) {
	for _, script := range []func(a *fakeProcess){
		func(a *fakeProcess) { a.receive(); a.receive() },
		func(a *fakeProcess) { <-a.exited }, // does not read either
	} {
		withFakeProcesses(t, func(t *testing.T, d *daemon, _ func() []time.Duration, current func() *fakeProcess) {
			began := time.Now()
			require.ErrorContains(t, d.load(fakeHook), "it took longer than 10s to load")
			require.Equal(t, 10*time.Second, time.Since(began))
			require.Contains(t, strings.Join(current().notes(), ","), "kill")
		}, script)
	}
}

// A call times out after 30 s, also if the process does not read the request.
func TestCallTimesOut(t *testing.T) {
	withFakeProcesses(t, func(t *testing.T, d *daemon, _ func() []time.Duration, current func() *fakeProcess) {
		require.NoError(t, d.load(fakeHook))
		began := time.Now()
		r := d.ask("act", "")
		require.Equal(t, wire.CodeTimeout, r.Code)
		require.Equal(t, 30*time.Second, time.Since(began))
		synctest.Wait()
		require.Equal(t, "running", d.status("fake").State)
		r = d.ask("act", "") // the writer is still blocked by the first request
		require.Equal(t, wire.CodeTimeout, r.Code)
		synctest.Wait()
		require.Equal(t, "it has not read its stdin for 30s", d.status("fake").LastError)
		require.Len(t, current().notes(), 1)
	}, func(a *fakeProcess) {
		a.introduce("act")
		<-a.exited
	})
}

// A reply after the timeout is allowed, and the call does not count as late any more.
func TestLateRepliesAreAllowed(t *testing.T) {
	withFakeProcesses(t, func(t *testing.T, d *daemon, _ func() []time.Duration, _ func() *fakeProcess) {
		require.NoError(t, d.load(fakeHook))
		for range 5 {
			require.Equal(t, wire.CodeTimeout, d.ask("act", "").Code)
			time.Sleep(20 * time.Second)
		}
		s := d.status("fake")
		require.Equal(t, "running", s.State)
		require.Zero(t, s.Restarts)
	}, func(a *fakeProcess) {
		a.introduce("act")
		for request := a.receive(); request != nil; request = a.receive() {
			if id, ok := request["id"]; ok {
				time.Sleep(40 * time.Second)
				a.send(`{"id":%v,"result":0}`, id)
			}
		}
	})
}

func TestProcessHasAtMost64Calls(t *testing.T) {
	withFakeProcesses(t, func(t *testing.T, d *daemon, _ func() []time.Duration, _ func() *fakeProcess) {
		require.NoError(t, d.load(fakeHook))
		replies := make(chan wire.Reply, 70)
		for range cap(replies) {
			c := d.as("admin")
			go func() { replies <- ask(t, c, "act", "") }()
		}
		codes := map[wire.Code]int{}
		for range cap(replies) {
			codes[(<-replies).Code]++
		}
		require.Equal(t, map[wire.Code]int{0: 64, wire.CodeTooMany: 6}, codes)
	}, func(a *fakeProcess) {
		a.introduce("act")
		var ids []any
		for request := a.receive(); request != nil; request = a.receive() {
			if ids = append(ids, request["id"]); len(ids) == 64 {
				time.Sleep(time.Second)
				for _, id := range ids {
					a.send(`{"id":%v,"result":0}`, id)
				}
			}
		}
	})
}

// A shutdown waits for replies, closes stdin, sends SIGTERM, and kills the process.
func TestShutdownSteps(t *testing.T) {
	for name, each := range map[string]struct {
		script func(a *fakeProcess)
		code   wire.Code
		want   []string
	}{
		"answers and ends": {func(a *fakeProcess) {
			a.introduce("act")
			id := a.receive()["id"]
			time.Sleep(3 * time.Second)
			a.send(`{"id":%v,"result":0}`, id)
			a.receive()
			time.Sleep(time.Second)
		}, 0, []string{"00:03 close stdin"}},
		"answers after the end of stdin": {func(a *fakeProcess) {
			a.introduce("act")
			id := a.receive()["id"]
			time.Sleep(8 * time.Second)
			a.send(`{"id":%v,"result":0}`, id)
		}, 0, []string{"00:05 close stdin"}},
		"does nothing": {func(a *fakeProcess) {
			a.introduce("act")
			a.receive()
			<-a.exited
		}, wire.CodeShuttingDown, []string{"00:05 close stdin", "00:10 terminate", "00:12 kill"}},
	} {
		t.Run(name, func(t *testing.T) {
			withFakeProcesses(t, func(t *testing.T, d *daemon, _ func() []time.Duration, current func() *fakeProcess) {
				require.NoError(t, d.load(fakeHook))
				c := d.as("admin")
				replied := make(chan wire.Reply, 1)
				go func() { replied <- ask(t, c, "act", "") }()
				synctest.Wait()
				require.NoError(t, d.load())
				require.Equal(t, each.code, (<-replied).Code)
				require.NoError(t, d.hooks.Close(context.Background()))
				require.Equal(t, each.want, current().notes()[:len(each.want)])
			}, each.script)
		})
	}
}
