//go:build linux

package mgr_test

import (
	"context"
	"maps"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/unix"

	"github.com/stretchr/testify/require"
)

// A transitionLog has the rows of the tables that were used.
type transitionLog struct {
	mu     sync.Mutex
	rows   map[int]bool
	broken []string
}

// watch logs the transitions of all conns of d.
func (l *transitionLog) watch(d *daemon) {
	l.rows = map[int]bool{}
	d.WatchTransitions(func(row int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.rows[row] = true
	}, func(what string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.broken = append(l.broken, what)
	})
}

// requireRows requires that the rows with the indexes were used, and that no transition broke a table.
func (l *transitionLog) requireRows(t *testing.T, indexes ...int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(t, l.broken)
	for _, i := range indexes {
		require.True(t, l.rows[i], "row %d was not used: %s", i, mgr.Rows()[i])
	}
}

// Each row of the two tables of a conn has a scenario that uses it. The invariants hold after each transition.
func TestConnTransitions(t *testing.T) {
	var all transitionLog
	all.rows = map[int]bool{}
	scenario := func(name string, rows []int, f func(t *testing.T, d *daemon)) {
		run := func(t *testing.T, d *daemon) {
			var l transitionLog
			l.watch(d)
			f(t, d)
			l.requireRows(t, rows...)
			l.mu.Lock()
			defer l.mu.Unlock()
			maps.Copy(all.rows, l.rows)
		}
		t.Run(name, func(t *testing.T) {
			if name[0] == 'p' { // parked: the kernel's poller knows no virtual time
				d := start(t, nil, newTestCommands().commands()...)
				run(t, d)
				require.NoError(t, d.end())
				return
			}
			synctest.Test(t, func(t *testing.T) {
				d := start(t, nil, append(newTestCommands().commands(), blob, asyncBlob)...)
				run(t, d)
				require.NoError(t, d.end())
			})
		})
	}
	const ( // the order of the rows
		batchBegins = iota
		batchAnswered
		replyWaitEnds
		writeBegins
		writeEnds
		readerDetached
		connParked
		connNotParked
		connUnparked
		closeBegins
		closeEnds
		readerTakes
		poolTakes
		poolKeeps
		readerDone
		poolDone
		rows
	)
	scenario("the loop answers in time", []int{batchBegins, batchAnswered, writeBegins, writeEnds, readerTakes, readerDone}, func(t *testing.T, d *daemon) {
		c := d.dial()
		defer c.close()
		c.send(`{"command":"count","id":1}`)
		require.Zero(t, c.receive().Result)
		synctest.Wait()
	})
	scenario("the loop is slow", []int{batchBegins, replyWaitEnds, poolTakes, poolDone}, func(t *testing.T, d *daemon) {
		c := d.dial()
		defer c.close()
		c.send(`{"command":"doze","arguments":{"seconds":1},"id":1}`)
		require.Zero(t, c.receive().Result)
		synctest.Wait()
	})
	scenario("the peer does not read", []int{readerDetached, poolKeeps, poolDone}, func(t *testing.T, d *daemon) {
		c := d.dial()
		defer c.close()
		c.send(`{"command":"blob","arguments":{"bytes":1000000},"id":1}`)
		time.Sleep(mgr.MaxReplyWait)
		synctest.Wait()
		require.Zero(t, c.receive().Result)
		synctest.Wait()
	})
	scenario("the last request", []int{closeBegins, closeEnds, readerTakes, readerDone}, func(t *testing.T, d *daemon) {
		require.Zero(t, d.call(`{"command":"count"}`).Result)
		synctest.Wait()
	})
	unixClient := func(t *testing.T, d *daemon) *rawClient {
		path := filepath.Join(t.TempDir(), "socket")
		_, err := d.Open(t.Context(), &unix.Transport{Path: path})
		require.NoError(t, err)
		conn, err := net.Dial("unix", path)
		require.NoError(t, err)
		c := newRawClient(t, conn)
		t.Cleanup(c.close)
		c.requireServed()
		waitForReaders(t, 0)
		return c
	}
	scenario("parked", []int{connParked, connUnparked}, func(t *testing.T, d *daemon) {
		unixClient(t, d).requireServed()
	})
	scenario("parked without a poller", []int{connParked, connNotParked}, func(t *testing.T, d *daemon) {
		d.EndPoller()
		path := filepath.Join(t.TempDir(), "socket")
		_, err := d.Open(t.Context(), &unix.Transport{Path: path})
		require.NoError(t, err)
		conn, err := net.Dial("unix", path)
		require.NoError(t, err)
		c := newRawClient(t, conn)
		defer c.close()
		c.requireServed()
		time.Sleep(100 * time.Millisecond) // longer than the peer has to be silent
		c.requireServed()
	})
	require.Len(t, mgr.Rows(), rows)
	for i, row := range mgr.Rows() {
		require.True(t, all.rows[i], "no scenario uses the row: %s", row)
	}
}

// A timer may fire after the wait that it was set for, while the reader waits again. It then changes nothing.
func TestTimerOfEarlierWaitChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, append(s.commands(), blob)...)
		var l transitionLog
		l.watch(d)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"hold","id":1}`) // the reader awaits replies
		synctest.Wait()
		d.FireOldDeadline()
		s.release <- struct{}{}
		require.Zero(t, c.receive().Result)
		synctest.Wait()
		c.send(`{"command":"blob","arguments":{"bytes":1000000},"id":2}`) // the reader writes
		synctest.Wait()
		d.FireOldDeadline()
		require.Zero(t, c.receive().Result)
		synctest.Wait()
		l.requireRows(t)
		for i, row := range mgr.Rows() {
			require.False(t, l.rows[i] && (i == 2 || i == 5), "%s", row)
		}
		require.NoError(t, d.end())
	})
}

// streaming returns a command with several replies, of so many bytes each, without an end.
func streaming(name string, bytes int) mgr.Command {
	item := strings.Repeat("x", bytes)
	return mgr.Async(name, "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
		call, _ := mgr.CallOf(ctx)
		send := mgr.Streams(ctx, call)
		for {
			if err := send(item); err != nil {
				return mgr.None{}, err
			}
		}
	})
}

// A stream whose peer does not read blocks its own handler at its bound. The conn is read on, and its other calls are
// answered behind the replies that wait.
func TestStreamOfSlowPeerBlocksOnlyItsHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, append(s.commands(), streaming("a", 1000), streaming("b", 3*mgr.MaxStreamBytes))...)
		var l transitionLog
		l.watch(d)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"a","id":"a"}{"command":"b","id":"b"}`)
		synctest.Wait()
		c.send(`{"command":"count","id":1}`)
		time.Sleep(mgr.MaxReplyWait)
		synctest.Wait()
		require.Equal(t, 1, s.count, "the conn is read on")
		held := d.Count().Buffered
		require.Less(t, held, int64(2*mgr.MaxStreamBytes+2*3*mgr.MaxStreamBytes))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, held, d.Count().Buffered, "the handlers wait")
		c.send(`{"command":"cancel","arguments":{"id":"a"},"id":2}{"command":"cancel","arguments":{"id":"b"},"id":3}`)
		final := map[any]int{}
		for len(final) < 5 {
			r := c.receive()
			_, ended := final[r.ID]
			require.False(t, ended, "a reply follows the final reply of %v", r.ID)
			if !r.More {
				final[r.ID] = r.Result
			}
		}
		require.Equal(t, map[any]int{"a": 499, "b": 499, 1.0: 0, 2.0: 0, 3.0: 0}, final)
		synctest.Wait()
		require.Zero(t, d.Count().Unwritten)
		l.requireRows(t)
		require.NoError(t, d.end())
	})
}

// The replies of a stream arrive in order, before its final reply. A peer that reads slowly gets all of them.
func TestStreamArrivesInOrderBeforeItsFinalReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const items = 1000
		count := mgr.Async("items", "", mgr.Read, func(ctx context.Context, _ mgr.None) (int, error) {
			call, _ := mgr.CallOf(ctx)
			send := mgr.Streams(ctx, call)
			for i := range items {
				if err := send(i); err != nil {
					return i, err
				}
			}
			return items, nil
		})
		d := start(t, nil, append(newTestCommands().commands(), count)...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"items","id":1}`)
		for i := range items {
			r := c.receive()
			require.True(t, r.More)
			require.EqualValues(t, i, r.Arguments)
			if i%100 == 0 {
				time.Sleep(time.Second)
			}
		}
		r := c.receive()
		require.False(t, r.More)
		require.EqualValues(t, items, r.Arguments)
		require.NoError(t, d.end())
	})
}

// The departure of the peer ends a stream.
func TestStreamEndsWhenItsPeerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, streaming("a", 1000))
		c := d.dial()
		c.send(`{"command":"a","id":"a"}`)
		synctest.Wait()
		c.close()
		synctest.Wait()
		require.Empty(t, d.Sessions())
		require.NoError(t, d.end())
	})
}

// A handler that sends after its call was cancelled gets an error: no reply follows the final one.
func TestStreamSendsNothingAfterItsFinalReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := make(chan error, 1)
		stubborn := mgr.Async("stubborn", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			call, _ := mgr.CallOf(ctx)
			send := mgr.Streams(context.WithoutCancel(ctx), call)
			if err := send("first"); err != nil {
				return mgr.None{}, err
			}
			<-ctx.Done()
			time.Sleep(time.Second)
			late <- send("late")
			return mgr.None{}, nil
		})
		d := start(t, nil, stubborn)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"stubborn","id":1,"timeout":1}`)
		require.True(t, c.receive().More)
		require.Equal(t, 408, c.receive().Result)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		c.requireSilence()
		require.EqualError(t, <-late, "the call was answered")
		require.NoError(t, d.end())
	})
}

// Each wait of a reader, for the loop and for its peer, has a lease of its own.
func TestEachWaitHasALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, append(s.commands(), blob)...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"hold","id":1}`)
		synctest.Wait()
		first := d.Leases()[0]
		s.release <- struct{}{}
		require.Zero(t, c.receive().Result)
		synctest.Wait()
		c.send(`{"command":"blob","arguments":{"bytes":1000000},"id":2}`)
		synctest.Wait()
		writing := d.Leases()[0]
		require.GreaterOrEqual(t, writing, first+2) // the write of the first reply, perhaps a wait for the loop, this write
		require.Zero(t, c.receive().Result)
		synctest.Wait()
		c.send(`{"command":"hold","id":3}`)
		synctest.Wait()
		require.Equal(t, writing+1, d.Leases()[0])
		s.release <- struct{}{}
		require.Zero(t, c.receive().Result)
		require.NoError(t, d.end())
	})
}
