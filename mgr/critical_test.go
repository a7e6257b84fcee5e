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

// A gate is a participant that pauses when the test says so. Its fields belong to the loop, but for
// asked, from which the test takes what to say it with.
type gate struct {
	veto   error
	asked  chan func()
	paused int // entered, and not left
}

func (g *gate) Check() error { return g.veto }
func (g *gate) Enter(done func()) {
	g.paused++
	g.asked <- done
}
func (g *gate) Exit() { g.paused-- }

// pause lets the participant pause, as soon as it is asked to.
func (g *gate) pause() { (<-g.asked)() }

// A vessel is a ship with a gate, and commands for which it must be closed. What handlers note in log
// they note on the loop.
type vessel struct {
	*ship
	*gate
	section loop.CriticalSection
	loop    *loop.Loop // the manager's, but for other things too
	log     []string
}

func newVessel(t *testing.T) *vessel {
	v := &vessel{ship: newShip(), gate: &gate{asked: make(chan func(), 100)}, loop: loop.New()}
	require.NoError(t, v.section.Add("engine", v.gate))
	return v
}

// start runs a daemon whose loop is run by somebody else, until the manager is done.
func (v *vessel) start(t *testing.T, limits mgr.Limits) *daemon {
	var d *daemon
	process := func(ctx context.Context, in struct {
		Command string `json:"command"`
	}) (wire.Reply, error) {
		return d.Process(ctx, wire.Request{Command: in.Command})
	}
	d = prepare(t, &mgr.Options{Loop: v.loop, Critical: &v.section, Limits: limits}, append(v.commands(),
		mgr.Func("refit", "Change what the engine reads.", mgr.Write, func(context.Context, mgr.None) (string, error) {
			v.log = append(v.log, fmt.Sprintf("refit at depth %d, paused %d", v.section.Depth(), v.paused))
			return "refitted", nil
		}, mgr.Critical()),
		mgr.Func("sink", "Panic.", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) { panic("canary") }, mgr.Critical()),
		mgr.Func("explode", "Return what panics.", mgr.Write, func(context.Context, mgr.None) (explosive, error) { return explosive{}, nil }, mgr.Critical()),
		mgr.Func("within", "Process inside.", mgr.Write, process, mgr.Critical()),
		mgr.Func("without", "Process outside.", mgr.Write, process),
		mgr.Async("beside", "Process beside the loop.", mgr.Write, process),
		mgr.Async("tow", "Enter the loop.", mgr.Write, func(ctx context.Context, _ mgr.None) (string, error) {
			return "towed", mgr.OnLoop(ctx, func() error {
				v.log = append(v.log, fmt.Sprintf("tow at depth %d, paused %d", v.section.Depth(), v.paused))
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

// sail plays a test in virtual time.
func sail(t *testing.T, limits mgr.Limits, play func(t *testing.T, v *vessel, d *daemon, c *talker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := newVessel(t)
		d := v.start(t, limits)
		c := d.dial()
		defer c.leave()
		play(t, v, d, c)
		require.NoError(t, d.end())
		require.Zero(t, v.section.Depth())
		require.Zero(t, v.paused)
	})
}

// TestCriticalHoldsTheQueue, never the loop: what is behind a critical command waits, whoever has sent
// it, and is answered in order; what is posted runs, what is refused is refused at once.
func TestCriticalHoldsTheQueue(t *testing.T) {
	sail(t, mgr.Limits{}, func(t *testing.T, v *vessel, d *daemon, c *talker) {
		c.say(`{"command":"count","id":1}{"command":"refit","id":2}{"command":"count","id":3}{"command":"refit","id":4}{"command":"count","id":5}`)
		require.Equal(t, 1.0, c.hear().ID)
		synctest.Wait()
		other := d.dial()
		defer other.leave()
		other.say(`{"command":"count","id":6}`)
		c.quiet()
		other.quiet()

		ran := make(chan int)
		require.NoError(t, v.loop.Post(func() { ran <- v.section.Depth() }))
		require.Zero(t, <-ran, "the loop goes on")
		other.say(`{"command":"look","id":7}{"command":"no-such","id":8}{"command":"greet","id":9}`)
		replies := other.hearAll(2)
		require.Zero(t, replies[7.0].Result, "what runs beside the loop, and on it")
		require.Equal(t, 1, replies[9.0].Result, "bad arguments")
		other.quiet()

		v.pause()
		require.Equal(t, reply{ID: 2.0, Arguments: "refitted"}, c.hear())
		require.Equal(t, reply{ID: 3.0, Arguments: 2.0}, c.hear())
		c.quiet()
		other.quiet()
		v.pause()
		require.Equal(t, 4.0, c.hear().ID)
		require.Equal(t, reply{ID: 5.0, Arguments: 3.0}, c.hear())
		require.Equal(t, reply{ID: 6.0, Arguments: 4.0}, other.hear())
		require.Equal(t, 2, other.hear().Result)
		require.Equal(t, []string{"refit at depth 1, paused 1", "refit at depth 1, paused 1"}, v.log)
	})
}

// TestCriticalRefused: the reply says who and why, and the commands behind it run.
func TestCriticalRefused(t *testing.T) {
	for _, test := range []struct {
		name string
		veto error
		want reply
	}{
		{"veto", errors.New("a transfer is under way"),
			reply{ID: 1.0, Result: 4, Text: "'refit' cannot run: 'engine' does not pause now: a transfer is under way", Error: details("vetoed")}},
		{"veto in words of its own", wire.Errorf(1234, "at-sea", "come back in port"),
			reply{ID: 1.0, Result: 1234, Text: "come back in port", Error: details("at-sea")}},
		{"too slow", nil,
			reply{ID: 1.0, Result: 503, Text: "'refit' did not run, since 'engine' did not pause within 5s; try again later", Error: details("not-paused")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sail(t, mgr.Limits{}, func(t *testing.T, v *vessel, _ *daemon, c *talker) {
				v.veto = test.veto
				began := time.Now()
				c.say(`{"command":"refit","id":1}{"command":"count","id":2}{"command":"tow","id":3}`)
				replies := c.hearAll(3)
				require.Equal(t, test.want, replies[1.0])
				require.Zero(t, replies[2.0].Result)
				tow := test.want
				tow.ID, tow.Text = 3.0, strings.Replace(tow.Text, "refit", "tow", 1)
				require.Equal(t, tow, replies[3.0])
				require.Empty(t, v.log)
				if test.veto != nil {
					return
				}
				require.Equal(t, 5*time.Second, time.Since(began))
				for range len(v.asked) {
					v.pause() // late
				}
				c.say(`{"command":"refit","id":4}`)
				synctest.Wait()
				v.pause()
				require.Zero(t, c.hear().Result)
			})
		})
	}
}

// TestCriticalTimeout can be set, and taken away.
func TestCriticalTimeout(t *testing.T) {
	for limit, want := range map[time.Duration]int{time.Second: 503, -1: 0} {
		sail(t, mgr.Limits{CriticalTimeout: limit}, func(t *testing.T, v *vessel, _ *daemon, c *talker) {
			c.say(`{"command":"refit","id":1}`)
			time.Sleep(30 * time.Second)
			v.pause()
			require.Equal(t, want, c.hear().Result)
		})
	}
}

// TestCriticalIsNoLongerWanted: a call that waits for the section can be cancelled, has its patience,
// and does not run for who has left; those behind it go on then.
func TestCriticalIsNoLongerWanted(t *testing.T) {
	for _, test := range []struct {
		name, request string
		end           func(c *talker)
		result        int
		after         time.Duration
	}{
		{"cancel", `{"command":"refit","id":1}`, func(c *talker) {
			c.say(`{"command":"cancel","arguments":{"id":1},"id":"c"}`)
		}, 499, 0},
		{"patience", `{"command":"refit","timeout":2,"id":1}`, func(*talker) {}, 408, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			sail(t, mgr.Limits{CriticalTimeout: time.Hour}, func(t *testing.T, v *vessel, d *daemon, c *talker) {
				c.say(test.request)
				synctest.Wait()
				other := d.dial()
				defer other.leave()
				other.say(`{"command":"count","id":2}`)
				other.quiet()
				began := time.Now()
				test.end(c)
				require.Equal(t, test.result, c.hear().Result)
				require.Equal(t, 1.0, other.hear().Arguments)
				require.Equal(t, test.after, time.Since(began).Round(time.Millisecond))
				require.Empty(t, v.log)
			})
		})
	}
	t.Run("departure", func(t *testing.T) {
		sail(t, mgr.Limits{}, func(t *testing.T, v *vessel, d *daemon, c *talker) {
			c.say(`{"command":"refit","id":1}`)
			synctest.Wait()
			c.leave()
			synctest.Wait()
			v.pause()
			require.Equal(t, 1.0, d.ask(`{"command":"count"}`).Arguments)
			require.Empty(t, v.log)
		})
	})
	t.Run("its session is closed", func(t *testing.T) {
		sail(t, mgr.Limits{CriticalTimeout: time.Hour}, func(t *testing.T, v *vessel, d *daemon, c *talker) {
			c.say(`{"command":"refit","id":1}`)
			synctest.Wait()
			sessions := d.Sessions()
			require.Len(t, sessions, 1)
			require.True(t, sessions[0].Running[0].Waiting)
			require.Equal(t, 1, d.CloseSession(sessions[0].ID))
			require.Equal(t, 1.0, d.ask(`{"command":"count"}`).Arguments)
			require.Empty(t, v.log)
		})
	})
	t.Run("departure of who gave no id", func(t *testing.T) {
		sail(t, mgr.Limits{}, func(t *testing.T, v *vessel, d *daemon, c *talker) {
			c.say(`{"command":"refit"}`)
			synctest.Wait()
			c.leave()
			synctest.Wait()
			v.pause()
			require.Equal(t, 1.0, d.ask(`{"command":"count"}`).Arguments)
			require.Len(t, v.log, 1, "it runs all the same")
		})
	})
	t.Run("behind it", func(t *testing.T) {
		sail(t, mgr.Limits{}, func(t *testing.T, v *vessel, _ *daemon, c *talker) {
			c.say(`{"command":"refit","id":1}{"command":"refit","id":2}{"command":"count","timeout":1,"id":3}{"command":"count","id":4}`)
			synctest.Wait()
			c.say(`{"command":"cancel","arguments":{"id":2},"id":"c"}`)
			replies := c.hearAll(3)
			require.Equal(t, 499, replies[2.0].Result)
			require.Equal(t, 408, replies[3.0].Result)
			v.pause()
			require.Equal(t, 1.0, c.hear().ID)
			require.Equal(t, reply{ID: 4.0, Arguments: 1.0}, c.hear())
			require.Empty(t, v.asked, "nobody pauses for what was cancelled")
		})
	})
}

// TestCriticalPanics: the section is left, whatever happens inside.
func TestCriticalPanics(t *testing.T) {
	sail(t, mgr.Limits{}, func(t *testing.T, v *vessel, _ *daemon, c *talker) {
		for _, command := range []string{"sink", "explode"} {
			c.say(`{"command":"` + command + `","id":1}{"command":"refit","id":2}{"command":"count","id":3}`)
			v.pause()
			require.Equal(t, 500, c.hear().Result)
			v.pause()
			require.Zero(t, c.hear().Result)
			require.Zero(t, c.hear().Result)
		}
		require.Equal(t, []string{"refit at depth 1, paused 1", "refit at depth 1, paused 1"}, v.log)
	})
}

// TestCriticalAsync is inside in what it runs on the loop, and nowhere else.
func TestCriticalAsync(t *testing.T) {
	sail(t, mgr.Limits{}, func(t *testing.T, v *vessel, _ *daemon, c *talker) {
		c.say(`{"command":"tow","id":1}`)
		synctest.Wait()
		c.say(`{"command":"count","id":2}`)
		require.Equal(t, 2.0, c.hear().ID, "the queue is not held for it")
		c.quiet()
		c.say(`{"command":"refit","id":3}`) // shares the section
		c.quiet()
		v.pause()
		require.Len(t, c.hearAll(2), 2)
		require.ElementsMatch(t, []string{"tow at depth 1, paused 1", "refit at depth 1, paused 1"}, v.log)

		c.say(`{"command":"tow","timeout":1,"id":4}`)
		require.Equal(t, 408, c.hear().Result)
		c.say(`{"command":"tow","id":5}`)
		synctest.Wait()
		c.say(`{"command":"cancel","arguments":{"id":5},"id":"c"}`)
		require.Equal(t, 499, c.hearAll(2)[5.0].Result)
		require.Len(t, v.log, 2)
	})
}

// TestCriticalProcess: inside, a critical command is run at once; a handler on the loop that is not
// inside cannot wait for it; others wait.
func TestCriticalProcess(t *testing.T) {
	sail(t, mgr.Limits{}, func(t *testing.T, v *vessel, d *daemon, c *talker) {
		c.say(`{"command":"within","arguments":{"command":"refit"},"id":1}`)
		v.pause()
		require.Equal(t, "refitted", c.hear().Arguments)
		c.say(`{"command":"without","arguments":{"command":"refit"},"id":2}`)
		require.Equal(t, "the command 'refit' is critical, and a handler on the loop cannot wait until it may run; make its own command critical", c.hear().Text)
		c.say(`{"command":"beside","arguments":{"command":"refit"},"id":3}`)
		synctest.Wait()
		v.pause()
		require.Equal(t, "refitted", c.hear().Arguments)

		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, err := d.Process(ctx, wire.Request{Command: "refit"})
			failed <- err
		}()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-failed, context.Canceled)
		c.say(`{"command":"count","id":4}`)
		require.Equal(t, 4.0, c.hear().ID, "the queue is held no longer")
		require.Len(t, v.log, 2)
	})
}

// TestDrainFinishesWhatIsHeld: what was accepted is finished and answered.
func TestDrainFinishesWhatIsHeld(t *testing.T) {
	sail(t, mgr.Limits{}, func(t *testing.T, v *vessel, d *daemon, c *talker) {
		c.say(`{"command":"refit","id":1}{"command":"count","id":2}{"command":"refit","id":3}{"command":"count","id":4}`)
		synctest.Wait()
		go func() { _ = d.end() }()
		synctest.Wait()
		c.quiet()
		v.pause()
		require.Len(t, c.hearAll(2), 2)
		v.pause()
		require.Len(t, c.hearAll(2), 2)
		c.eof()
	})
}

// TestDrainThatIsCutOffWhileHeld leaves nothing behind: once the loop is closed what waits is dropped,
// and the participants go on.
func TestDrainThatIsCutOffWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVessel(t)
		section := &v.section
		d := prepare(t, &mgr.Options{Critical: section, Limits: mgr.Limits{DrainTimeout: time.Second, CriticalTimeout: time.Minute}},
			append(v.commands(), mgr.Func("refit", "", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) {
				panic("never")
			}, mgr.Critical()))...)
		ctx, stop := context.WithCancel(t.Context())
		go func() { d.ended <- d.Run(ctx) }()
		c := d.dial()
		c.say(`{"command":"refit","id":1}{"command":"count","id":2}{"command":"count"}`)
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
		c.eof()
		v.pause()
		require.Equal(t, wire.CodeShuttingDown, (<-processed).Code)
		synctest.Wait()
		require.Zero(t, d.Count())
		require.Zero(t, v.paused)
		require.Zero(t, v.count)
	})
}

// TestDrainThatIsCutOffInside: what is behind a critical command that the drain did not wait for has its
// turn all the same.
func TestDrainThatIsCutOffInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVessel(t)
		d := prepare(t, &mgr.Options{Critical: &v.section, Limits: mgr.Limits{DrainTimeout: time.Second}},
			append(v.commands(), mgr.Func("careen", "", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) {
				time.Sleep(time.Minute)
				return mgr.None{}, nil
			}, mgr.Critical()))...)
		ctx, stop := context.WithCancel(t.Context())
		go func() { d.ended <- d.Run(ctx) }()
		c := d.dial()
		c.say(`{"command":"careen","id":1}{"command":"count","id":2}{"command":"count"}`)
		v.pause()
		synctest.Wait()
		stop()
		c.eof()
		require.ErrorContains(t, <-d.ended, "drain: 1 conns were closed")
		synctest.Wait()
		require.Zero(t, d.Count())
		require.Zero(t, v.paused)
		require.Equal(t, 1, v.count, "without an id it runs all the same")
	})
}

// TestHeldQueueIsBounded: what waits behind a critical command counts.
func TestHeldQueueIsBounded(t *testing.T) {
	sail(t, mgr.Limits{MaxQueued: 3, MaxInFlight: 10}, func(t *testing.T, v *vessel, d *daemon, c *talker) {
		c.say(`{"command":"refit","id":1}`)
		synctest.Wait()
		c.say(`{"command":"count","id":2}{"command":"count","id":3}{"command":"count","id":4}{"command":"count","id":5}`)
		r := c.hear()
		require.Equal(t, 5.0, r.ID)
		require.Equal(t, 429, r.Result)
		v.pause()
		for id := range 4 {
			require.Equal(t, float64(id+1), c.hear().ID)
		}

		c.say(`{"command":"hold","id":0}`)
		synctest.Wait()
		c.say(`{"command":"hold","id":1}{"command":"refit","id":2}{"command":"count","id":3}`) // one turn
		synctest.Wait()
		c.say(`{"command":"release","id":"r"}`)
		require.Len(t, c.hearAll(2), 2)
		synctest.Wait()
		c.say(`{"command":"count","id":4}{"command":"count","id":5}{"command":"count","id":6}`) // the next
		synctest.Wait()
		c.say(`{"command":"release","id":"r"}`)
		require.Len(t, c.hearAll(2), 2)
		synctest.Wait()
		c.say(`{"command":"count","id":7}`)
		require.Equal(t, 429, c.hear().Result, "now more wait than may")
		v.pause()
		for id := range 5 {
			require.Equal(t, float64(id+2), c.hear().ID)
		}
	})
}

// TestManyCriticalCommands fills more than a turn with critical commands and others.
func TestManyCriticalCommands(t *testing.T) {
	sail(t, mgr.Limits{MaxInFlight: 2000}, func(t *testing.T, v *vessel, _ *daemon, c *talker) {
		c.say(`{"command":"hold","id":0}`)
		for i := range 500 {
			c.say(fmt.Sprintf(`{"command":"refit","id":%d}{"command":"count","id":%d}`, 2*i+1, 2*i+2))
		}
		synctest.Wait()
		c.say(`{"command":"release","id":"r"}`)
		go func() {
			for range 500 {
				v.pause()
			}
		}()
		next := 0.0
		for range 1002 {
			if r := c.hear(); r.ID != "r" {
				require.Equal(t, next, r.ID)
				require.Zero(t, r.Result)
				next++
			}
		}
	})
}

// TestCriticalWithoutASection: a daemon without threads has nothing to pause.
func TestCriticalWithoutASection(t *testing.T) {
	for name, section := range map[string]*loop.CriticalSection{"none": nil, "nobody in it": new(loop.CriticalSection)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				set := func(context.Context, mgr.None) (int, error) { return 7, nil }
				d := start(t, &mgr.Options{Critical: section}, mgr.Func("set", "", mgr.Write, set, mgr.Critical()))
				require.Equal(t, 7.0, d.ask(`{"command":"set"}`).Arguments)
			})
		})
	}
}
