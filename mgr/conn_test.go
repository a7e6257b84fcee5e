package mgr_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

// asyncBlob returns the requested number of bytes, off the loop and after a delay.
var asyncBlob = mgr.Async("async-blob", "", mgr.Read, func(_ context.Context, in struct {
	Bytes int `json:"bytes"`
	After int `json:"after" doc:"Milliseconds."`
}) (string, error) {
	time.Sleep(time.Duration(in.After) * time.Millisecond)
	return strings.Repeat("x", in.Bytes), nil
})

// The loop answers two conns in one run. The peer of the first does not read its reply; the second gets its reply at once.
// Both replies are queued for the writer pool before a writer takes one, which -cpu=1 makes certain.
func TestBlockedPeerDelaysNoOtherConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, append(s.commands(), blob)...)
		a, b, c := d.dial(), d.dial(), d.dial()
		defer a.close()
		defer b.close()
		defer c.close()
		a.send(`{"command":"hold","id":1}`)
		synctest.Wait()
		c.send(`{"command":"blob","arguments":{"bytes":1000000},"id":1}`)
		synctest.Wait()
		b.send(`{"command":"count","id":1}`)
		time.Sleep(time.Second) // the readers no longer wait for the loop: the writer pool writes the replies
		synctest.Wait()
		began := time.Now()
		a.send(`{"command":"release","id":2}`)
		require.Zero(t, b.receive().Result)
		require.Less(t, time.Since(began), time.Second)
		c.close()
		require.NoError(t, d.end())
	})
}

// The goroutine that reads a request also writes its reply, if the loop answers in time.
func TestReaderWritesRepliesToItsBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newTestCommands().commands()...)
		l := d.scripted()
		c := l.dial()
		for _, batch := range [][]string{{`{"command":"count","id":1}`}, {`{"command":"count","id":2}`, `{"command":"count","id":3}`}} {
			c.requests <- batch
			synctest.Wait()
			require.Len(t, c.written(), len(batch))
			for _, w := range c.written() {
				require.Equal(t, c.reader.Load(), w.goroutine, w.frame)
			}
			c.forget()
		}
		require.NoError(t, c.Close())
	})
}

// A peer leaves replies unread until their number is the limit of the window, and the reader stops. When the peer has read
// some replies, the reader reads the next request, though the write of the other replies blocks.
func TestWindowOpensWhenRepliesAreTakenToWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, &mgr.Options{Limits: mgr.Limits{MaxInFlight: 2}}, append(s.commands(), blob)...)
		c := d.dial()
		defer c.close()
		for _, id := range []string{"1", "2", "3"} { // one is being written, two wait
			c.send(`{"command":"blob","arguments":{"bytes":1000000},"id":` + id + `}`)
			time.Sleep(mgr.MaxReplyWait)
			synctest.Wait()
		}
		require.Equal(t, 2, d.Count().Unwritten)
		c.send(`{"command":"count","id":4}`)
		synctest.Wait()
		require.Zero(t, s.count, "the window is full of replies")
		require.EqualValues(t, 1, c.receive().ID)
		synctest.Wait()
		require.Equal(t, 1, s.count)
		c.receiveAll(3)
		require.NoError(t, d.end())
	})
}

// A call whose timeout has passed keeps its place in the window until its handler returns. Then the next request is read.
func TestWindowOpensWhenAnAbandonedHandlerReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		stubborn := mgr.Async("stubborn", "", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) {
			<-release
			return mgr.None{}, nil
		})
		d := start(t, &mgr.Options{Limits: mgr.Limits{MaxInFlight: 1}}, append(newTestCommands().commands(), stubborn)...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"stubborn","id":1,"timeout":1}`)
		require.Equal(t, 408, c.receive().Result)
		c.send(`{"command":"count","id":2}`)
		time.Sleep(time.Second)
		c.requireSilence()
		close(release)
		require.Zero(t, c.receive().Result)
		require.NoError(t, d.end())
	})
}

// A request beyond the window waits, and its timeout counts meanwhile. When there is room, it is answered 408 and does not run.
func TestTimeoutCountsWhileARequestWaitsForTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		slow := mgr.Async("slow", "", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) {
			<-release
			return mgr.None{}, nil
		})
		commands := newTestCommands()
		d := start(t, &mgr.Options{Limits: mgr.Limits{MaxInFlight: 1}}, append(commands.commands(), slow)...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"slow","id":1}{"command":"count","id":2,"timeout":1}{"command":"cancel","arguments":{"id":1},"id":3}`)
		time.Sleep(2 * time.Second)
		c.requireSilence() // neither the 408 nor the cancel behind it
		close(release)
		require.EqualValues(t, 1, c.receive().ID)
		timedOut := c.receive()
		require.EqualValues(t, 2, timedOut.ID)
		require.Equal(t, 408, timedOut.Result)
		require.Equal(t, 3, c.receive().Result)
		require.Zero(t, commands.count)
		require.NoError(t, d.end())
	})
}

// The reader does not wait for the loop again while calls of an earlier batch wait for it: a cancel is read at once.
func TestReaderDoesNotWaitForTheLoopTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, s.commands()...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"hold","id":1}`)
		time.Sleep(mgr.MaxReplyWait)
		c.send(`{"command":"count","id":2}`)
		synctest.Wait()
		began := time.Now()
		c.send(`{"command":"cancel","arguments":{"id":2},"id":3}`)
		require.EqualValues(t, 2, c.receive().ID)
		require.Zero(t, time.Since(began))
		s.release <- struct{}{}
		c.receiveAll(2)
		require.NoError(t, d.end())
	})
}

// A reader that writes replies is replaced 20 ms after its request arrived, also where the write that blocks is not its
// first: its peer has read the first reply, and not the second.
func TestReaderIsReplacedWhenItsSecondWriteBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, append(s.commands(), blob, asyncBlob)...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"async-blob","arguments":{"bytes":1000000,"after":5},"id":1}{"command":"blob","arguments":{"bytes":1000000},"id":2}`)
		time.Sleep(10 * time.Millisecond)
		require.EqualValues(t, 2, c.receive().ID)
		c.send(`{"command":"count","id":3}`)
		time.Sleep(mgr.MaxReplyWait)
		synctest.Wait()
		require.Equal(t, 1, s.count)
		c.receiveAll(2)
		require.NoError(t, d.end())
	})
}

// The peer gets all replies before its conn closes, also if the reader has read the last request and writes the reply to an
// earlier one while an async command still runs.
func TestConnStaysOpenUntilItsLastReplyIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, append(newTestCommands().commands(), asyncBlob)...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"async-blob","arguments":{"bytes":10,"after":5},"id":2}{"command":"count","id":1}{"command":"count"}`)
		require.EqualValues(t, 1, c.receive().ID)
		require.EqualValues(t, 2, c.receive().ID)
		require.Nil(t, c.receive().ID)
		c.requireEOF()
		require.NoError(t, d.end())
	})
}

// The conn is closed as soon as the reply to its last request is written. A slow Observer does not delay that.
func TestSlowObserverDelaysNoClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Observer: stallingObserver(time.Second)}, newTestCommands().commands()...)
		began := time.Now()
		require.Zero(t, d.call(`{"command":"count"}`).Result)
		require.Zero(t, time.Since(began))
	})
}

// The writer pool has more writers than idle ones that it keeps. Conns whose peers do not read are written to at the
// same time; when their peers read, all get their replies.
func TestWriterPoolGrowsAndShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, append(newTestCommands().commands(), asyncBlob)...)
		many := 10 * runtime.GOMAXPROCS(0)
		for range 2 {
			var conns []*rawClient
			for range many {
				c := d.dial()
				c.send(`{"command":"async-blob","arguments":{"bytes":200000,"after":100},"id":1}`)
				conns = append(conns, c)
			}
			time.Sleep(time.Second)
			for _, c := range conns {
				require.Zero(t, c.receive().Result)
				c.close()
			}
		}
		require.NoError(t, d.end())
	})
}

// A scriptedListener accepts conns whose frames come from the test, batch by batch.
type scriptedListener struct {
	accept chan *scriptedConn
	closed chan struct{}
	once   sync.Once
}

// scripted opens a scriptedListener.
func (d *daemon) scripted() *scriptedListener {
	l := &scriptedListener{accept: make(chan *scriptedConn), closed: make(chan struct{})}
	_, err := d.Open(d.t.Context(), l)
	require.NoError(d.t, err)
	return l
}

func (l *scriptedListener) dial() *scriptedConn {
	c := &scriptedConn{requests: make(chan []string)}
	c.ctx, c.end = context.WithCancelCause(context.Background())
	l.accept <- c
	return c
}

func (l *scriptedListener) Listen(context.Context) (transport.Listener, error) { return l, nil }
func (l *scriptedListener) Addr() net.Addr                                     { return &net.UnixAddr{Name: "scripted"} }

func (l *scriptedListener) Accept(ctx context.Context) (transport.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *scriptedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// A scriptedConn notes which goroutine reads and which writes each frame. It has no descriptor and is no *Stream.
type scriptedConn struct {
	requests chan []string
	reader   atomic.Uint64 // the goroutine that called Receive last

	mu     sync.Mutex
	batch  []string
	writes []scriptedWrite
	ctx    context.Context
	end    context.CancelCauseFunc
}

type scriptedWrite struct {
	goroutine uint64
	frame     string
}

func (c *scriptedConn) Context() context.Context { return c.ctx }
func (c *scriptedConn) Peer() transport.Peer {
	return transport.Peer{Transport: "scripted", Creds: []transport.Credential{subject("self")}}
}

func (c *scriptedConn) Receive(ctx context.Context, dst []byte) ([]byte, error) {
	c.reader.Store(goroutine())
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.batch) == 0 {
		if ctx.Err() != nil {
			return dst, ctx.Err()
		}
		c.mu.Unlock()
		var batch []string
		select {
		case batch = <-c.requests:
		case <-ctx.Done():
		case <-c.ctx.Done():
		}
		c.mu.Lock()
		if c.ctx.Err() != nil {
			return dst, io.EOF
		}
		c.batch = append(c.batch, batch...)
	}
	frame := c.batch[0]
	c.batch = c.batch[1:]
	return append(dst, frame...), nil
}

func (c *scriptedConn) Send(_ context.Context, frames ...[]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, frame := range frames {
		c.writes = append(c.writes, scriptedWrite{goroutine(), string(frame)})
	}
	return nil
}

func (c *scriptedConn) Close() error {
	c.end(errors.New("closed"))
	return nil
}

func (c *scriptedConn) written() []scriptedWrite {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes
}

func (c *scriptedConn) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes = nil
}
