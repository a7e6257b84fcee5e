package mgr_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A testParticipant pauses when the test calls pause. Its fields belong to the loop, except asked, from which the test
// receives the function that reports the pause.
type testParticipant struct {
	veto   error
	asked  chan func()
	paused int // calls of Enter without Exit
}

func (g *testParticipant) Check() error { return g.veto }
func (g *testParticipant) Enter(done func()) {
	g.paused++
	g.asked <- done
}
func (g *testParticipant) Exit() { g.paused-- }

// pause waits until the participant is asked to pause, and reports that it has paused.
func (g *testParticipant) pause() { (<-g.asked)() }

// A criticalFixture has testCommands, a section with one participant, and critical commands. Handlers append to log on the
// loop.
type criticalFixture struct {
	*testCommands
	*testParticipant
	section loop.CriticalSection
	loop    *loop.Loop // Options.Loop of the manager
	log     []string
}

func newCriticalFixture(t *testing.T) *criticalFixture {
	v := &criticalFixture{testCommands: newTestCommands(), testParticipant: &testParticipant{asked: make(chan func(), 100)}, loop: loop.New()}
	require.NoError(t, v.section.Add("worker", v.testParticipant))
	return v
}

// start starts a daemon, and runs its loop on another goroutine until the manager is done.
func (v *criticalFixture) start(t *testing.T, limits mgr.Limits) *daemon {
	var d *daemon
	process := func(ctx context.Context, in struct {
		Command string `json:"command"`
	}) (wire.Reply, error) {
		return d.Process(ctx, wire.Request{Command: in.Command})
	}
	d = prepare(t, &mgr.Options{Loop: v.loop, Critical: &v.section, Limits: limits}, append(v.commands(),
		mgr.Func("reconfigure", "Change data of the participant.", mgr.Write, func(context.Context, mgr.None) (string, error) {
			v.log = append(v.log, fmt.Sprintf("reconfigure at depth %d, paused %d", v.section.Depth(), v.paused))
			return "reconfigured", nil
		}, mgr.Critical()),
		mgr.Func("crash-critical", "Panic.", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) { panic("canary") }, mgr.Critical()),
		mgr.Func("explode", "Return what panics.", mgr.Write, func(context.Context, mgr.None) (explosive, error) { return explosive{}, nil }, mgr.Critical()),
		mgr.Func("within", "Process inside.", mgr.Write, process, mgr.Critical()),
		mgr.Func("without", "Process outside.", mgr.Write, process),
		mgr.Async("beside", "Process off the loop.", mgr.Write, process),
		mgr.Async("async-critical", "Enter the loop.", mgr.Write, func(ctx context.Context, _ mgr.None) (string, error) {
			return "done", mgr.OnLoop(ctx, func() error {
				v.log = append(v.log, fmt.Sprintf("async-critical at depth %d, paused %d", v.section.Depth(), v.paused))
				return nil
			})
		}, mgr.Critical()),
		mgr.Async("look", "Enter the loop, not the section.", mgr.Read, func(ctx context.Context, _ mgr.None) (int, error) {
			depth := -1
			err := mgr.OnLoop(ctx, func() error { depth = v.section.Depth(); return nil })
			return depth, err
		}),
	)...)
	drive(t, d, driver{run: func(ctx context.Context, m *mgr.CommandMgr) error {
		result := make(chan error, 1)
		go func() {
			result <- m.Run(ctx)
			v.loop.Close()
		}()
		if err := v.loop.Run(context.Background()); err != nil {
			return err
		}
		return <-result
	}})
	return d
}

// testCritical runs a test in virtual time with a fixture, a daemon and a client.
func testCritical(t *testing.T, limits mgr.Limits, play func(t *testing.T, v *criticalFixture, d *daemon, c *rawClient)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := newCriticalFixture(t)
		d := v.start(t, limits)
		c := d.dial()
		defer c.close()
		play(t, v, d, c)
		require.NoError(t, d.end())
		require.Zero(t, v.section.Depth())
		require.Zero(t, v.paused)
	})
}

// Calls behind a critical command wait, from every conn, and are answered in order. The loop runs other functions meanwhile,
// and refusals are written at once.
func TestCriticalCommandBlocksQueueAndNotLoop(t *testing.T) {
	testCritical(t, mgr.Limits{}, func(t *testing.T, v *criticalFixture, d *daemon, c *rawClient) {
		c.send(`{"command":"count","id":1}{"command":"reconfigure","id":2}{"command":"count","id":3}{"command":"reconfigure","id":4}{"command":"count","id":5}`)
		require.Equal(t, 1.0, c.receive().ID)
		synctest.Wait()
		other := d.dial()
		defer other.close()
		other.send(`{"command":"count","id":6}`)
		c.requireSilence()
		other.requireSilence()

		ran := make(chan int)
		require.NoError(t, v.loop.Post(func() { ran <- v.section.Depth() }))
		require.Zero(t, <-ran, "the loop goes on")
		other.send(`{"command":"look","id":7}{"command":"no-such","id":8}{"command":"greet","id":9}`)
		replies := other.receiveAll(2)
		require.Zero(t, replies[7.0].Result, "an async command that enters the loop")
		require.Equal(t, 1, replies[9.0].Result, "bad arguments")
		other.requireSilence()

		v.pause()
		require.Equal(t, reply{ID: 2.0, Arguments: "reconfigured"}, c.receive())
		require.Equal(t, reply{ID: 3.0, Arguments: 2.0}, c.receive())
		c.requireSilence()
		other.requireSilence()
		v.pause()
		require.Equal(t, 4.0, c.receive().ID)
		require.Equal(t, reply{ID: 5.0, Arguments: 3.0}, c.receive())
		require.Equal(t, reply{ID: 6.0, Arguments: 4.0}, other.receive())
		require.Equal(t, 2, other.receive().Result)
		require.Equal(t, []string{"reconfigure at depth 1, paused 1", "reconfigure at depth 1, paused 1"}, v.log)
	})
}

// The reply to a critical command that does not run names the participant and the reason. The calls behind it run.
func TestRefusedCriticalCommandNamesParticipant(t *testing.T) {
	for _, test := range []struct {
		name string
		veto error
		want reply
	}{
		{"veto", errors.New("a transfer is under way"),
			reply{ID: 1.0, Result: 4, Text: "'reconfigure' cannot run: 'worker' does not pause now: a transfer is under way", Error: details("vetoed")}},
		{"veto with its own error", wire.Errorf(1234, "busy", "try again later"),
			reply{ID: 1.0, Result: 1234, Text: "try again later", Error: details("busy")}},
		{"too slow", nil,
			reply{ID: 1.0, Result: 503, Text: "'reconfigure' did not run, since 'worker' did not pause within 5s; try again later", Error: details("not-paused")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			testCritical(t, mgr.Limits{}, func(t *testing.T, v *criticalFixture, _ *daemon, c *rawClient) {
				v.veto = test.veto
				began := time.Now()
				c.send(`{"command":"reconfigure","id":1}{"command":"count","id":2}{"command":"async-critical","id":3}`)
				replies := c.receiveAll(3)
				require.Equal(t, test.want, replies[1.0])
				require.Zero(t, replies[2.0].Result)
				async := test.want
				async.ID, async.Text = 3.0, strings.Replace(async.Text, "reconfigure", "async-critical", 1)
				require.Equal(t, async, replies[3.0])
				require.Empty(t, v.log)
				if test.veto != nil {
					return
				}
				require.Equal(t, 5*time.Second, time.Since(began))
				for range len(v.asked) {
					v.pause() // too late
				}
				c.send(`{"command":"reconfigure","id":4}`)
				synctest.Wait()
				v.pause()
				require.Zero(t, c.receive().Result)
			})
		})
	}
}

// CriticalTimeout can be changed, and removed.
func TestCriticalTimeoutCanBeChangedAndRemoved(t *testing.T) {
	for limit, want := range map[time.Duration]int{time.Second: 503, -1: 0} {
		testCritical(t, mgr.Limits{CriticalTimeout: limit}, func(t *testing.T, v *criticalFixture, _ *daemon, c *rawClient) {
			c.send(`{"command":"reconfigure","id":1}`)
			time.Sleep(30 * time.Second)
			v.pause()
			require.Equal(t, want, c.receive().Result)
		})
	}
}

// A call that waits for the section can be cancelled, times out, and does not run after its peer has left. The calls behind
// it run then.
func TestWaitingCriticalCallEndsWithItsCaller(t *testing.T) {
	for _, test := range []struct {
		name, request string
		end           func(c *rawClient)
		result        int
		after         time.Duration
	}{
		{"cancel", `{"command":"reconfigure","id":1}`, func(c *rawClient) {
			c.send(`{"command":"cancel","arguments":{"id":1},"id":"c"}`)
		}, 499, 0},
		{"timeout", `{"command":"reconfigure","timeout":2,"id":1}`, func(*rawClient) {}, 408, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			testCritical(t, mgr.Limits{CriticalTimeout: time.Hour}, func(t *testing.T, v *criticalFixture, d *daemon, c *rawClient) {
				c.send(test.request)
				synctest.Wait()
				other := d.dial()
				defer other.close()
				other.send(`{"command":"count","id":2}`)
				other.requireSilence()
				began := time.Now()
				test.end(c)
				require.Equal(t, test.result, c.receive().Result)
				require.Equal(t, 1.0, other.receive().Arguments)
				require.Equal(t, test.after, time.Since(began).Round(time.Millisecond))
				require.Empty(t, v.log)
			})
		})
	}
	t.Run("departure", func(t *testing.T) {
		testCritical(t, mgr.Limits{}, func(t *testing.T, v *criticalFixture, d *daemon, c *rawClient) {
			c.send(`{"command":"reconfigure","id":1}`)
			synctest.Wait()
			c.close()
			synctest.Wait()
			v.pause()
			require.Equal(t, 1.0, d.call(`{"command":"count"}`).Arguments)
			require.Empty(t, v.log)
		})
	})
	t.Run("its session is closed", func(t *testing.T) {
		testCritical(t, mgr.Limits{CriticalTimeout: time.Hour}, func(t *testing.T, v *criticalFixture, d *daemon, c *rawClient) {
			c.send(`{"command":"reconfigure","id":1}`)
			synctest.Wait()
			sessions := d.Sessions()
			require.Len(t, sessions, 1)
			require.True(t, sessions[0].Running[0].Waiting)
			require.Equal(t, 1, d.CloseSession(sessions[0].ID))
			require.Equal(t, 1.0, d.call(`{"command":"count"}`).Arguments)
			require.Empty(t, v.log)
		})
	})
	t.Run("departure after a request without an id", func(t *testing.T) {
		testCritical(t, mgr.Limits{}, func(t *testing.T, v *criticalFixture, d *daemon, c *rawClient) {
			c.send(`{"command":"reconfigure"}`)
			synctest.Wait()
			c.close()
			synctest.Wait()
			v.pause()
			require.Equal(t, 1.0, d.call(`{"command":"count"}`).Arguments)
			require.Len(t, v.log, 1, "it runs all the same")
		})
	})
	t.Run("behind it", func(t *testing.T) {
		testCritical(t, mgr.Limits{}, func(t *testing.T, v *criticalFixture, _ *daemon, c *rawClient) {
			c.send(`{"command":"reconfigure","id":1}{"command":"reconfigure","id":2}{"command":"count","timeout":1,"id":3}{"command":"count","id":4}`)
			synctest.Wait()
			c.send(`{"command":"cancel","arguments":{"id":2},"id":"c"}`)
			replies := c.receiveAll(3)
			require.Equal(t, 499, replies[2.0].Result)
			require.Equal(t, 408, replies[3.0].Result)
			v.pause()
			require.Equal(t, 1.0, c.receive().ID)
			require.Equal(t, reply{ID: 4.0, Arguments: 1.0}, c.receive())
			require.Empty(t, v.asked, "the participant pauses for no cancelled call")
		})
	})
}

// The section is left also after a panic.
func TestPanicLeavesCriticalSection(t *testing.T) {
	testCritical(t, mgr.Limits{}, func(t *testing.T, v *criticalFixture, _ *daemon, c *rawClient) {
		for _, command := range []string{"crash-critical", "explode"} {
			c.send(`{"command":"` + command + `","id":1}{"command":"reconfigure","id":2}{"command":"count","id":3}`)
			v.pause()
			require.Equal(t, 500, c.receive().Result)
			v.pause()
			require.Zero(t, c.receive().Result)
			require.Zero(t, c.receive().Result)
		}
		require.Equal(t, []string{"reconfigure at depth 1, paused 1", "reconfigure at depth 1, paused 1"}, v.log)
	})
}

// Only the function that an Async command runs on the loop is inside the section.
func TestAsyncCriticalCommandIsInsideOnLoopOnly(t *testing.T) {
	testCritical(t, mgr.Limits{}, func(t *testing.T, v *criticalFixture, _ *daemon, c *rawClient) {
		c.send(`{"command":"async-critical","id":1}`)
		synctest.Wait()
		c.send(`{"command":"count","id":2}`)
		require.Equal(t, 2.0, c.receive().ID, "the queue is not held for it")
		c.requireSilence()
		c.send(`{"command":"reconfigure","id":3}`) // it shares the section
		c.requireSilence()
		v.pause()
		require.Len(t, c.receiveAll(2), 2)
		require.ElementsMatch(t, []string{"async-critical at depth 1, paused 1", "reconfigure at depth 1, paused 1"}, v.log)

		c.send(`{"command":"async-critical","timeout":1,"id":4}`)
		require.Equal(t, 408, c.receive().Result)
		c.send(`{"command":"async-critical","id":5}`)
		synctest.Wait()
		c.send(`{"command":"cancel","arguments":{"id":5},"id":"c"}`)
		require.Equal(t, 499, c.receiveAll(2)[5.0].Result)
		require.Len(t, v.log, 2)
	})
}

// Inside the section Process runs a critical command at once. A handler on the loop outside of the section cannot wait for it.
// Other callers of Process wait.
func TestProcessOfCriticalCommand(t *testing.T) {
	testCritical(t, mgr.Limits{}, func(t *testing.T, v *criticalFixture, d *daemon, c *rawClient) {
		c.send(`{"command":"within","arguments":{"command":"reconfigure"},"id":1}`)
		v.pause()
		require.Equal(t, "reconfigured", c.receive().Arguments)
		c.send(`{"command":"without","arguments":{"command":"reconfigure"},"id":2}`)
		require.Equal(t, "the command 'reconfigure' is critical, and a handler on the loop cannot wait until it may run; make its own command critical", c.receive().Text)
		c.send(`{"command":"beside","arguments":{"command":"reconfigure"},"id":3}`)
		synctest.Wait()
		v.pause()
		require.Equal(t, "reconfigured", c.receive().Arguments)

		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, err := d.Process(ctx, wire.Request{Command: "reconfigure"})
			failed <- err
		}()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-failed, context.Canceled)
		c.send(`{"command":"count","id":4}`)
		require.Equal(t, 4.0, c.receive().ID, "the queue is held no longer")
		require.Len(t, v.log, 2)
	})
}

// A drain finishes and answers all accepted calls, also behind a critical command.
func TestDrainAnswersCallsBehindCriticalCommand(t *testing.T) {
	testCritical(t, mgr.Limits{}, func(t *testing.T, v *criticalFixture, d *daemon, c *rawClient) {
		c.send(`{"command":"reconfigure","id":1}{"command":"count","id":2}{"command":"reconfigure","id":3}{"command":"count","id":4}`)
		synctest.Wait()
		go func() { _ = d.end() }()
		synctest.Wait()
		c.requireSilence()
		v.pause()
		require.Len(t, c.receiveAll(2), 2)
		v.pause()
		require.Len(t, c.receiveAll(2), 2)
		c.requireEOF()
	})
}

// When the drain has timed out and the loop is closed, the waiting calls are dropped, and the participants continue.
func TestDrainTimeoutWhileQueueIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newCriticalFixture(t)
		section := &v.section
		d := prepare(t, &mgr.Options{Critical: section, Limits: mgr.Limits{DrainTimeout: time.Second, CriticalTimeout: time.Minute}},
			append(v.commands(), mgr.Func("reconfigure", "", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) {
				panic("never")
			}, mgr.Critical()))...)
		ctx, stop := context.WithCancel(t.Context())
		go func() { d.ended <- d.Run(ctx) }()
		c := d.dial()
		c.send(`{"command":"reconfigure","id":1}{"command":"count","id":2}{"command":"count"}`)
		synctest.Wait()
		processed := make(chan wire.Reply)
		go func() {
			reply, err := d.Process(context.Background(), wire.Request{Command: "count"})
			require.NoError(t, err)
			processed <- reply
		}()
		synctest.Wait()
		stop()
		require.ErrorContains(t, <-d.ended, "drain: 1 conns were closed")
		c.requireEOF()
		v.pause()
		require.Equal(t, wire.CodeShuttingDown, (<-processed).Code)
		synctest.Wait()
		require.Zero(t, d.Count())
		require.Zero(t, v.paused)
		require.Zero(t, v.count)
	})
}

// The calls behind a critical command run, though the drain timed out while the command ran.
func TestDrainTimeoutInsideCriticalSection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newCriticalFixture(t)
		d := prepare(t, &mgr.Options{Critical: &v.section, Limits: mgr.Limits{DrainTimeout: time.Second}},
			append(v.commands(), mgr.Func("slow-critical", "", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) {
				time.Sleep(time.Minute)
				return mgr.None{}, nil
			}, mgr.Critical()))...)
		ctx, stop := context.WithCancel(t.Context())
		go func() { d.ended <- d.Run(ctx) }()
		c := d.dial()
		c.send(`{"command":"slow-critical","id":1}{"command":"count","id":2}{"command":"count"}`)
		v.pause()
		synctest.Wait()
		stop()
		c.requireEOF()
		require.ErrorContains(t, <-d.ended, "drain: 1 conns were closed")
		synctest.Wait()
		require.Zero(t, d.Count())
		require.Zero(t, v.paused)
		require.Equal(t, 1, v.count, "without an id it runs all the same")
	})
}

// Calls that wait behind a critical command count for MaxQueued.
func TestBlockedQueueIsBounded(t *testing.T) {
	testCritical(t, mgr.Limits{MaxQueued: 3, MaxInFlight: 10}, func(t *testing.T, v *criticalFixture, d *daemon, c *rawClient) {
		c.send(`{"command":"reconfigure","id":1}`)
		synctest.Wait()
		c.send(`{"command":"count","id":2}{"command":"count","id":3}{"command":"count","id":4}{"command":"count","id":5}`)
		r := c.receive()
		require.Equal(t, 5.0, r.ID)
		require.Equal(t, 429, r.Result)
		v.pause()
		for id := range 4 {
			require.Equal(t, float64(id+1), c.receive().ID)
		}

		c.send(`{"command":"hold","id":0}`)
		synctest.Wait()
		c.send(`{"command":"hold","id":1}{"command":"reconfigure","id":2}{"command":"count","id":3}`) // one run of the queue
		synctest.Wait()
		c.send(`{"command":"release","id":"r"}`)
		require.Len(t, c.receiveAll(2), 2)
		synctest.Wait()
		c.send(`{"command":"count","id":4}{"command":"count","id":5}{"command":"count","id":6}`) // the next one
		synctest.Wait()
		c.send(`{"command":"release","id":"r"}`)
		require.Len(t, c.receiveAll(2), 2)
		synctest.Wait()
		c.send(`{"command":"count","id":7}`)
		require.Equal(t, 429, c.receive().Result, "now more wait than may")
		v.pause()
		for id := range 5 {
			require.Equal(t, float64(id+2), c.receive().ID)
		}
	})
}

// More critical and other commands than one run of the queue serves are answered in order.
func TestManyCriticalCommandsAreAnsweredInOrder(t *testing.T) {
	testCritical(t, mgr.Limits{MaxInFlight: 2000}, func(t *testing.T, v *criticalFixture, _ *daemon, c *rawClient) {
		c.send(`{"command":"hold","id":0}`)
		for i := range 500 {
			c.send(fmt.Sprintf(`{"command":"reconfigure","id":%d}{"command":"count","id":%d}`, 2*i+1, 2*i+2))
		}
		synctest.Wait()
		c.send(`{"command":"release","id":"r"}`)
		go func() {
			for range 500 {
				v.pause()
			}
		}()
		next := 0.0
		for range 1002 {
			if r := c.receive(); r.ID != "r" {
				require.Equal(t, next, r.ID)
				require.Zero(t, r.Result)
				next++
			}
		}
	})
}

// A critical command runs like any other if there is no section, or no participant in it.
func TestCriticalCommandRunsWithoutSection(t *testing.T) {
	for name, section := range map[string]*loop.CriticalSection{"none": nil, "no participant": new(loop.CriticalSection)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				set := func(context.Context, mgr.None) (int, error) { return 7, nil }
				d := start(t, &mgr.Options{Critical: section}, mgr.Func("set", "", mgr.Write, set, mgr.Critical()))
				require.Equal(t, 7.0, d.call(`{"command":"set"}`).Arguments)
			})
		})
	}
}
