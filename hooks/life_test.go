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

// An actor is a process of the test's, in virtual time: a function that is one while it runs.
type actor struct {
	net.Conn          // our end of its stdout; what is written goes to its stdin
	in       net.Conn // our end of its stdin
	stdin    *bufio.Reader
	stdout   net.Conn
	ends     []net.Conn
	exited   chan struct{}
	once     sync.Once

	mu  sync.Mutex
	log []string // what was done to it, and when
}

func act(play func(a *actor)) *actor {
	a := &actor{exited: make(chan struct{})}
	var stdin net.Conn
	stdin, a.in = net.Pipe()
	a.stdout, a.Conn = net.Pipe()
	a.stdin, a.ends = bufio.NewReader(stdin), []net.Conn{stdin, a.stdout}
	go func() {
		play(a)
		a.exit()
	}()
	return a
}

func (a *actor) exit() {
	a.once.Do(func() {
		for _, end := range a.ends {
			_ = end.Close()
		}
		close(a.exited)
	})
}

// hear returns a frame, or nil at the end of stdin.
func (a *actor) hear() spoken {
	line, err := a.stdin.ReadBytes('\n')
	if err != nil {
		return nil
	}
	var s spoken
	if err := json.Unmarshal(line, &s); err != nil {
		panic(err)
	}
	return s
}

func (a *actor) say(format string, args ...any) { _, _ = fmt.Fprintf(a.stdout, format+"\n", args...) }

func (a *actor) introduce(name string) {
	a.hear()
	a.say(`{"introduce":{"commands":[{"name":"%s","summary":"","access":"read"}]}}`, name)
}

func (a *actor) note(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.log = append(a.log, fmt.Sprintf("%s %s", time.Now().Format("04:05"), what))
}

func (a *actor) notes() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log
}

func (a *actor) Write(p []byte) (int, error)        { return a.in.Write(p) }
func (a *actor) SetWriteDeadline(t time.Time) error { return a.in.SetWriteDeadline(t) }
func (a *actor) Pid() int                           { return 1 }
func (a *actor) Exited() <-chan struct{}            { return a.exited }
func (a *actor) HowItEnded() string                 { return "it ended" }
func (a *actor) AwaitEnd()                          { <-a.exited }
func (a *actor) Terminate()                         { a.note("terminate") }
func (a *actor) Close() error                       { return errors.Join(a.in.Close(), a.Conn.Close()) }
func (a *actor) CloseInput() {
	a.note("close stdin")
	_ = a.in.Close()
}

func (a *actor) Kill() {
	a.note("kill")
	a.exit()
}

// stage runs a daemon in virtual time whose processes are one play after the other, the last one again
// and again.
func stage(t *testing.T, test func(t *testing.T, d *daemon, started func() []time.Duration, cast func() *actor), plays ...func(a *actor)) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var times []time.Time
		var last *actor
		d := start(t, func(s *hooks.Set) {
			s.StopTimeout = 0
			s.StartWith(func(*hooks.Config) (hooks.Process, error) {
				mu.Lock()
				defer mu.Unlock()
				times = append(times, time.Now())
				last = act(plays[min(len(times), len(plays))-1])
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
		test(t, d, pauses, func() *actor {
			mu.Lock()
			defer mu.Unlock()
			return last
		})
	})
}

// actors are all called alike; what they are is in their plays.
var actors = hooks.Config{Name: "actor", Exec: []string{"/actor"}}

func dies(a *actor) {
	a.introduce("act")
	time.Sleep(time.Millisecond) // it has been heard
}

func plays(a *actor) {
	a.introduce("act")
	for request := a.hear(); request != nil; request = a.hear() {
		a.say(`{"id":%v,"result":0}`, request["id"])
	}
}

// firstPause is the longest first one.
const firstPause = 100 * time.Millisecond

func TestBackOff(t *testing.T) {
	stage(t, func(t *testing.T, d *daemon, started func() []time.Duration, _ func() *actor) {
		require.NoError(t, d.load(actors))
		time.Sleep(50 * time.Millisecond)
		s := d.status("actor")
		require.Equal(t, "restarting", s.State)
		require.Equal(t, "it ended", s.LastError)
		require.True(t, s.RetryAt.After(time.Now()))
		r := d.ask("act", "")
		require.Equal(t, wire.CodeShuttingDown, r.Code)
		require.ErrorIs(t, r.Err(), &wire.Error{Code: wire.CodeShuttingDown, Word: "hook-down"})
		require.Contains(t, r.Text, "the hook 'actor' has ended, and is started again at ")

		time.Sleep(4 * time.Minute)
		pauses := started()
		require.GreaterOrEqual(t, len(pauses), 7)
		for i, most := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, time.Minute, time.Minute, time.Minute} {
			require.LessOrEqual(t, pauses[i], most+time.Millisecond)
			require.Greater(t, pauses[i], most*3/4-time.Millisecond)
		}
		s = d.status("actor")
		require.Equal(t, "broken", s.State)
		require.Contains(t, d.ask("act", "").Text, fmt.Sprintf("the hook 'actor' has failed %d times in a row, the last time because it ended; it is tried again at %s",
			len(pauses)+1, s.RetryAt.Format(time.RFC3339)))

		// Loading the same configuration again is a reason to try at once.
		before := len(started())
		require.NoError(t, d.load(actors))
		synctest.Wait()
		require.Len(t, started(), before+1)
	}, dies)
}

// TestRowOfFailuresEnds: a life of a minute makes the next failure the first again.
func TestRowOfFailuresEnds(t *testing.T) {
	stage(t, func(t *testing.T, d *daemon, started func() []time.Duration, _ func() *actor) {
		require.NoError(t, d.load(actors))
		time.Sleep(10 * time.Minute)
		pauses := started()
		require.Len(t, pauses, 6)
		require.LessOrEqual(t, pauses[5]-2*time.Minute, firstPause)
		require.Zero(t, d.ask("act", "").Code)
		require.Equal(t, 6, d.status("actor").Restarts)
	}, dies, dies, dies, dies, dies, func(a *actor) {
		a.introduce("act")
		time.Sleep(2 * time.Minute)
	}, plays)
}

// TestOtherIntroduction: a process that comes back as something else is not what was loaded.
func TestOtherIntroduction(t *testing.T) {
	stage(t, func(t *testing.T, d *daemon, started func() []time.Duration, _ func() *actor) {
		require.NoError(t, d.load(actors))
		time.Sleep(time.Hour)
		require.Len(t, started(), 1)
		require.Equal(t, "failed", d.status("actor").State)
		r := d.ask("act", "")
		require.Equal(t, wire.CodeShuttingDown, r.Code)
		require.Equal(t, "the hook 'actor' does not run: it introduced itself as something else than before; load the configuration again", r.Text)
		require.NoError(t, d.load(actors))
		require.Equal(t, "running", d.status("actor").State)
		require.Zero(t, d.ask("act", "").Code)
	}, dies, func(a *actor) {
		a.introduce("another")
		a.hear()
	}, plays)
}

// TestPatienceWithAnIntroduction: it is over after 10 s.
func TestPatienceWithAnIntroduction(t *testing.T) {
	for _, play := range []func(a *actor){
		func(a *actor) { a.hear(); a.hear() },
		func(a *actor) { <-a.exited }, // does not even read
	} {
		stage(t, func(t *testing.T, d *daemon, _ func() []time.Duration, cast func() *actor) {
			began := time.Now()
			require.ErrorContains(t, d.load(actors), "it took longer than 10s to load")
			require.Equal(t, 10*time.Second, time.Since(began))
			require.Contains(t, strings.Join(cast().notes(), ","), "kill")
		}, play)
	}
}

// TestPatienceWithACall: 30 s, also where the process does not read what is asked of it.
func TestPatienceWithACall(t *testing.T) {
	stage(t, func(t *testing.T, d *daemon, _ func() []time.Duration, cast func() *actor) {
		require.NoError(t, d.load(actors))
		began := time.Now()
		r := d.ask("act", "")
		require.Equal(t, wire.CodeTimeout, r.Code)
		require.Equal(t, 30*time.Second, time.Since(began))
		synctest.Wait()
		require.Equal(t, "running", d.status("actor").State)
		r = d.ask("act", "") // the writer is stuck with the first one
		require.Equal(t, wire.CodeTimeout, r.Code)
		synctest.Wait()
		require.Equal(t, "it has not read its stdin for 30s", d.status("actor").LastError)
		require.Len(t, cast().notes(), 1)
	}, func(a *actor) {
		a.introduce("act")
		<-a.exited
	})
}

// TestLateAnswers: an answer after the deadline is no lie, and makes up for it.
func TestLateAnswers(t *testing.T) {
	stage(t, func(t *testing.T, d *daemon, _ func() []time.Duration, _ func() *actor) {
		require.NoError(t, d.load(actors))
		for range 5 {
			require.Equal(t, wire.CodeTimeout, d.ask("act", "").Code)
			time.Sleep(20 * time.Second)
		}
		s := d.status("actor")
		require.Equal(t, "running", s.State)
		require.Zero(t, s.Restarts)
	}, func(a *actor) {
		a.introduce("act")
		for request := a.hear(); request != nil; request = a.hear() {
			if id, ok := request["id"]; ok {
				time.Sleep(40 * time.Second)
				a.say(`{"id":%v,"result":0}`, id)
			}
		}
	})
}

// TestManyCalls: at most 64 of one process.
func TestManyCalls(t *testing.T) {
	stage(t, func(t *testing.T, d *daemon, _ func() []time.Duration, _ func() *actor) {
		require.NoError(t, d.load(actors))
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
	}, func(a *actor) {
		a.introduce("act")
		var ids []any
		for request := a.hear(); request != nil; request = a.hear() {
			if ids = append(ids, request["id"]); len(ids) == 64 {
				time.Sleep(time.Second)
				for _, id := range ids {
					a.say(`{"id":%v,"result":0}`, id)
				}
			}
		}
	})
}

// TestEndInOrder: what is asked is answered, stdin is closed, then it is told to end, then it is killed.
func TestEndInOrder(t *testing.T) {
	for name, each := range map[string]struct {
		play func(a *actor)
		code wire.Code
		want []string
	}{
		"answers and ends": {func(a *actor) {
			a.introduce("act")
			id := a.hear()["id"]
			time.Sleep(3 * time.Second)
			a.say(`{"id":%v,"result":0}`, id)
			a.hear()
			time.Sleep(time.Second)
		}, 0, []string{"00:03 close stdin"}},
		"answers after the end of stdin": {func(a *actor) {
			a.introduce("act")
			id := a.hear()["id"]
			time.Sleep(8 * time.Second)
			a.say(`{"id":%v,"result":0}`, id)
		}, 0, []string{"00:05 close stdin"}},
		"does nothing": {func(a *actor) {
			a.introduce("act")
			a.hear()
			<-a.exited
		}, wire.CodeShuttingDown, []string{"00:05 close stdin", "00:10 terminate", "00:12 kill"}},
	} {
		t.Run(name, func(t *testing.T) {
			stage(t, func(t *testing.T, d *daemon, _ func() []time.Duration, cast func() *actor) {
				require.NoError(t, d.load(actors))
				c := d.as("admin")
				replied := make(chan wire.Reply, 1)
				go func() { replied <- ask(t, c, "act", "") }()
				synctest.Wait()
				require.NoError(t, d.load())
				require.Equal(t, each.code, (<-replied).Code)
				require.NoError(t, d.hooks.Close(context.Background()))
				require.Equal(t, each.want, cast().notes()[:len(each.want)])
			}, each.play)
		})
	}
}
