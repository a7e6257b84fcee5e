package mgr_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// A slowBook is a book whose Begin takes 40 ms, as an fsync may.
type slowBook struct{ book }

func (b *slowBook) Begin(calls []*mgr.Call) error {
	time.Sleep(40 * time.Millisecond)
	return b.book.Begin(calls)
}

// holding has a conn on which a command holds the loop, so that replies to what follows are sent at once by a goroutine
// of the pool; play says more on it.
func holding(t *testing.T, play func(t *testing.T, d *daemon, c *talker, b *slowBook)) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		free := sync.OnceFunc(func() { close(release) })
		defer free()
		b, ran := &slowBook{}, false
		d := start(t, &mgr.Options{Recorder: b},
			mgr.Func("hold", "", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) { <-release; return mgr.None{}, nil }),
			mgr.Func("change", "", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) { ran = true; return mgr.None{}, nil }))
		c := d.dial()
		defer c.leave()
		c.say(`{"command":"hold","id":1}`)
		time.Sleep(50 * time.Millisecond)
		play(t, d, c, b)
		free()
		synctest.Wait()
		require.False(t, ran)
	})
}

// A call whose time is over while it is being recorded is answered when it is on record: first its begin, then its end.
func TestTimeoutDuringBeginIsRecordedAfterBegin(t *testing.T) {
	holding(t, func(t *testing.T, _ *daemon, c *talker, b *slowBook) {
		c.say(`{"command":"change","id":2,"timeout":0.005}`)
		require.Equal(t, 408, c.hear().Result)
		require.Regexp(t, `^1 begins change for [^;]*; 1 ends change with 408$`, b.read())
	})
}

// A call that is being recorded when its session is closed never runs, also one without an id, which runs when its
// caller has only left. It is recorded in order.
func TestSessionClosedDuringBeginDropsTheCall(t *testing.T) {
	const recorded = `^0 ends hold with 403; 1 begins change for [^;]*; 1 ends change with 403$`
	for _, request := range []string{`{"command":"change","id":2}`, `{"command":"change"}`} {
		holding(t, func(t *testing.T, d *daemon, c *talker, b *slowBook) {
			c.say(request)
			time.Sleep(20 * time.Millisecond)
			sessions := d.Sessions()
			require.Len(t, sessions, 1)
			require.Equal(t, 1, d.CloseSession(sessions[0].ID))
			time.Sleep(time.Second)
			require.Regexp(t, recorded, b.read())
		})
	}
}

// A cancel may run while the next batch is admitted that has the call which it names. It finds that call, or does not;
// the race detector sees that it never finds half of one.
func TestCancelDuringAdmissionIsAnswered(t *testing.T) {
	d := start(t, nil, mgr.Async("nap", "", mgr.Read, nothing))
	until := time.Now().Add(2 * time.Second)
	var clients sync.WaitGroup
	for range 8 {
		c := d.dial()
		defer c.leave()
		clients.Go(func() {
			for time.Now().Before(until) {
				_, _ = c.conn.Write([]byte(`{"command":"cancel","arguments":{"id":"x"},"id":1}`))
				for range rand.IntN(100) {
					runtime.Gosched()
				}
				_, _ = c.conn.Write([]byte(`{"command":"nap","id":"x","timeout":5}`))
				for range 2 {
					if line, err := c.in.ReadString('\n'); err != nil || strings.Contains(line, `"result":500`) {
						t.Errorf("%v %q", err, line)
						return
					}
				}
			}
		})
	}
	clients.Wait()
	require.NotContains(t, d.log.String(), "panic")
}
