package websocket

import (
	"bufio"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A turn says who reads a conn: its goroutine, by way of gorilla, or Receive. Nearly all that comes is one short
// message at a time, whole and in one frame; Receive takes that itself, so that no other goroutine is woken for it, nor
// reads in vain before there is more: with it the server reads 1.1 times for each command and not twice, and needs 8 to 18 %
// less CPU (bench: ws, 16 and 256). Whatever else comes is left where it lies, for the conn's goroutine; so is everything
// while nobody receives.
type turn struct {
	in    *bufio.Reader // gorilla reads from it; nil: nobody knows what gorilla has read, so the goroutine has the turn for ever
	free  chan struct{} // has a value when nobody reads
	asked chan struct{} // has a value when the goroutine shall
	waits atomic.Bool   // Receive found nothing, and the turn taken
	follower

	taken    atomic.Uint32 // how often Receive has had it
	seen     atomic.Uint32 // what that was when look looked
	watching atomic.Bool   // look will look
	watch    *time.Timer
}

// unread is how long nobody reads before the goroutine does, twice at most: so long a ping, a close frame and a departure
// may go unheard.
const unread = 100 * time.Millisecond

func newTurn(in *bufio.Reader) *turn {
	t := &turn{in: in, free: make(chan struct{}, 1), asked: make(chan struct{}, 1)}
	t.watch = time.AfterFunc(time.Hour, t.look)
	t.watch.Stop()
	return t
}

// tryTake takes the turn for Receive, if nobody has it.
func (t *turn) tryTake() bool {
	select {
	case <-t.free:
		t.taken.Add(1)
		return true
	default:
		return false
	}
}

// give gives it back.
func (t *turn) give() {
	t.free <- struct{}{}
	t.away()
}

// wait notes that Receive waits for what the goroutine reads, unless the goroutine has just stopped reading.
func (t *turn) wait() bool {
	t.waits.Store(true)
	if len(t.free) == 0 {
		return true
	}
	t.waits.Store(false)
	return false
}

// rest gives the turn away for as long as Receive does without the goroutine.
func (c *conn) rest() {
	t := c.turn
	if t.in == nil {
		return
	}
	t.give()
	if !t.waits.Load() || !c.inbox.isEmpty() { // it waits no more for what has been put there
		select {
		case <-t.asked:
		case <-c.ctx.Done():
		}
	}
	<-t.free
}

// away makes sure that somebody looks whether nobody reads. The timer is set once in a while, not for each message.
func (t *turn) away() {
	if !t.watching.Load() && t.watching.CompareAndSwap(false, true) {
		t.watch.Reset(unread)
	}
}

// look asks the goroutine to read if nobody has since the last time.
func (t *turn) look() {
	t.watching.Store(false)
	if len(t.free) == 0 {
		return // somebody reads
	}
	if taken := t.taken.Load(); t.seen.Swap(taken) != taken {
		t.away()
		return
	}
	notify(t.asked)
}

// end is for a conn that nobody reads any more.
func (t *turn) end() {
	t.watch.Stop()
	t.forget()
}

// A follower does something when a context ends. It remembers the context, so that following the same one, which is
// the rule, costs nothing.
type follower struct {
	mu   sync.Mutex
	ctx  context.Context
	stop func() bool
	over bool
}

func (f *follower) follow(ctx context.Context, do func()) {
	if ctx == f.ctx {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop != nil {
		f.stop()
	}
	f.ctx, f.stop = ctx, nil
	if ctx.Done() != nil && !f.over {
		f.stop = context.AfterFunc(ctx, do)
	}
}

// forget follows nothing any more.
func (f *follower) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	if f.stop != nil {
		f.stop()
	}
}
