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

// A slowRecorder is a testRecorder whose Begin takes 40 ms, like a slow fsync.
type slowRecorder struct{ testRecorder }

func (b *slowRecorder) Begin(calls []*mgr.Call) error {
	time.Sleep(40 * time.Millisecond)
	return b.testRecorder.Begin(calls)
}

// withLoopBlocked starts a daemon with a client whose command blocks the loop, so that a goroutine of the writer pool writes
// the replies to later requests at once. It then calls play.
func withLoopBlocked(t *testing.T, play func(t *testing.T, d *daemon, c *rawClient, b *slowRecorder)) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		free := sync.OnceFunc(func() { close(release) })
		defer free()
		b, ran := &slowRecorder{}, false
		d := start(t, &mgr.Options{Recorder: b},
			mgr.Func("hold", "", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) { <-release; return mgr.None{}, nil }),
			mgr.Func("change", "", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) { ran = true; return mgr.None{}, nil }))
		c := d.dial()
		defer c.close()
		c.send(`{"command":"hold","id":1}`)
		time.Sleep(50 * time.Millisecond)
		play(t, d, c, b)
		free()
		synctest.Wait()
		require.False(t, ran)
	})
}

// A call that times out during Begin is answered after Begin has returned, so the record has its begin before its end.
func TestTimeoutDuringBeginIsRecordedAfterBegin(t *testing.T) {
	withLoopBlocked(t, func(t *testing.T, _ *daemon, c *rawClient, b *slowRecorder) {
		c.send(`{"command":"change","id":2,"timeout":0.005}`)
		require.Equal(t, 408, c.receive().Result)
		require.Regexp(t, `^1 begins change for [^;]*; 1 ends change with 408$`, b.read())
	})
}

// A call whose session is closed during Begin never runs, also without an id. Its begin is recorded before its end.
func TestSessionClosedDuringBeginDropsTheCall(t *testing.T) {
	const recorded = `^0 ends hold with 403; 1 begins change for [^;]*; 1 ends change with 403$`
	for _, request := range []string{`{"command":"change","id":2}`, `{"command":"change"}`} {
		withLoopBlocked(t, func(t *testing.T, d *daemon, c *rawClient, b *slowRecorder) {
			c.send(request)
			time.Sleep(20 * time.Millisecond)
			sessions := d.Sessions()
			require.Len(t, sessions, 1)
			require.Equal(t, 1, d.CloseSession(sessions[0].ID))
			time.Sleep(time.Second)
			require.Regexp(t, recorded, b.read())
		})
	}
}

// A cancel runs while the reader admits the call that it names. It finds the call or does not; the race detector checks that
// it never accesses an incomplete one.
func TestCancelDuringAdmissionIsAnswered(t *testing.T) {
	d := start(t, nil, mgr.Async("nap", "", mgr.Read, nothing))
	until := time.Now().Add(2 * time.Second)
	var clients sync.WaitGroup
	for range 8 {
		c := d.dial()
		defer c.close()
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
