package mgr

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/wire"
)

// An outbox has the replies of one conn that no writer has taken, in the order in which they will be written. A writer
// takes all of them at once, as a batch. At most one goroutine writes; the table of writerTransitions says which. The lock of
// the conn guards the outbox.
type outbox struct {
	writer  writer
	parts   int32           // how many of waiting are replies of a stream that are not its last
	waiting []*encodedReply // not taken by a writer
	spare   []*encodedReply // the array of the replies that are being written, for the next ones
	last    *encodedReply   // the reply to the request without an id, until all other replies are in waiting
}

// A writer says which goroutine writes the replies of a conn.
type writer uint8

const (
	noWriter     writer = iota // none; replies wait only for a reader in state awaiting or closing
	readerWrites               // the reader
	poolWrites                 // a goroutine of the writer pool, or a reader that was detached
)

// A writerTransition is a change of a writer.
type writerTransition uint8

const (
	readerTakes writerTransition = iota
	poolTakes
	poolKeeps
	readerDone
	poolDone
)

// writerTransitions is the table of all transitions of a writer. TestWriterTransitions walks all of them.
var writerTransitions = [...]struct {
	from, to writer
	by       string // which goroutine
	when     string
}{
	readerTakes: {noWriter, readerWrites, "reader", "replies wait, and the reader has ended its wait for them (awaiting, closing)"},
	poolTakes:   {noWriter, poolWrites, "any", "a reply is added, or the wait of the reader ends, and the reader does not take it"},
	poolKeeps:   {readerWrites, poolWrites, "timer", "the reader is detached while it writes"},
	readerDone:  {readerWrites, noWriter, "reader", "all replies are written"},
	poolDone:    {poolWrites, noWriter, "pool writer", "all replies are written"},
}

// changeLocked makes a transition. The caller holds c.mu.
func (o *outbox) changeLocked(c *conn, t writerTransition) {
	from := o.writer
	o.writer = writerTransitions[t].to
	if c.m.onWriterTransition != nil {
		c.m.onWriterTransition(c, from, t)
	}
}

// addLocked adds a reply. The reply to the request without an id waits until no other call is unanswered. The caller holds
// c.mu.
func (o *outbox) addLocked(r *encodedReply, unanswered int32) {
	switch {
	case r.isLast:
		o.last = r
	case r.stream != nil:
		o.parts++
		o.waiting = append(o.waiting, r)
	default:
		o.waiting = append(o.waiting, r)
	}
	if unanswered == 0 && o.last != nil {
		o.waiting = append(o.waiting, o.last)
		o.last = nil
	}
}

// needsPoolLocked reports whether the writer pool has to write the replies, and makes it the writer. The caller holds c.mu,
// and then adds the conn to the pool. Where the reader takes the replies needsPoolLocked wakes it.
func (o *outbox) needsPoolLocked(c *conn) bool {
	if o.writer != noWriter || len(o.waiting) == 0 {
		return false
	}
	switch {
	case c.state == stateClosing, c.state == stateAwaiting && c.pendingOnLoop == 0:
		c.changed.Broadcast()
		return false
	case c.state == stateAwaiting:
		return false
	}
	o.changeLocked(c, poolTakes)
	return true
}

// takeLocked returns the replies that wait, for the goroutine that writes them from now on; nil: there are none, or
// another goroutine writes. The caller holds c.mu.
func (o *outbox) takeLocked(c *conn, t writerTransition) []*encodedReply {
	if o.writer != noWriter || len(o.waiting) == 0 {
		return nil
	}
	o.changeLocked(c, t)
	return o.nextLocked(c)
}

// nextLocked returns the replies that wait, for the goroutine that writes. The caller holds c.mu.
func (o *outbox) nextLocked(c *conn) []*encodedReply {
	if c.windowFull {
		c.changed.Broadcast()
	}
	batch := o.waiting
	o.waiting, o.spare, o.parts = o.spare[:0], nil, 0
	return batch
}

// doneLocked is called when a batch has been written. It returns the next batch for the same goroutine. If there is none
// the outbox has no writer any more; stillReader then reports whether the goroutine still is the reader of the conn. The
// caller holds c.mu.
func (o *outbox) doneLocked(c *conn, batch []*encodedReply) (next []*encodedReply, stillReader bool) {
	o.spare = batch
	if len(o.waiting) > 0 {
		return o.nextLocked(c), false
	}
	c.changed.Broadcast()
	if o.writer == poolWrites {
		o.changeLocked(c, poolDone)
		return nil, false
	}
	o.changeLocked(c, readerDone)
	if c.state == stateWriting {
		c.changeLocked(writeEnds)
	}
	return nil, true
}

// busyLocked reports whether replies wait or are being written. The caller holds c.mu.
func (o *outbox) busyLocked() bool { return o.writer != noWriter || len(o.waiting) > 0 }

// finalsLocked returns how many final replies no writer has taken. The caller holds c.mu.
func (o *outbox) finalsLocked() int { return len(o.waiting) - int(o.parts) }

// An encodedReply is a reply that is not written yet, with the facts for the Recorder, the Observer and the log.
type encodedReply struct {
	frame []byte
	body  []byte // follows frame, if the reply is written in parts; it belongs to the handler
	tail  string // follows body
	call  *Call
	code  wire.Code
	took  time.Duration

	stream    *stream // the reply is one of several, and not the last; nil: it is the final reply of its call
	isLast    bool    // it answers a request without an id
	isSpelled bool    // it has Kea's spelling
	status    int     // the HTTP status of a reply to a call that no handler has seen; 0: none
}

var replyPool = sync.Pool{New: func() any { return new(encodedReply) }}

// maxKept is the largest buffer, in bytes, that stays with an encodedReply for the next reply. longBuffers keeps longer
// ones.
const maxKept = 128 << 10

// replyBytes is about how many bytes an encodedReply takes beside its buffers, with its place in an outbox.
const replyBytes = 128

// size returns how many bytes the reply holds until it is written. A body that belongs to the handler counts too: it may
// live only because of this reply.
func (r *encodedReply) size() int { return replyBytes + cap(r.frame) + len(r.body) + len(r.tail) }

// length returns how many bytes are written.
func (r *encodedReply) length() int { return len(r.frame) + len(r.body) + len(r.tail) }

// free keeps the reply for another call.
func (r *encodedReply) free() {
	if cap(r.frame) > maxKept {
		r.frame = nil
	}
	r.call, r.body, r.tail, r.status, r.stream = nil, nil, "", 0, nil
	r.isLast, r.isSpelled = false, false
	replyPool.Put(r)
}

// reply implements replySink. It runs on the goroutine that has made the reply. For a command on the loop that is the loop,
// so that the reply cannot race with the state that it describes.
func (c *conn) reply(call *Call, reply wire.Reply, returned bool) {
	r := c.encodeReply(call, reply)
	if call.refused {
		r.status = refusalStatus(r.code)
	}
	if c.m.isObserved() {
		r.took = time.Since(call.Received)
	}
	r.isLast = call.id.IsZero()
	c.mu.Lock()
	c.replies++
	c.addBufferedLocked(r.size())
	if !call.inFlight { // it was refused, and lives until its reply is written
		call.holders.Store(1)
		c.addBufferedLocked(call.held())
	} else {
		c.unanswered--
		if returned {
			c.removeInFlightLocked(call)
		}
	}
	if call.pendingOnLoop {
		c.pendingOnLoop--
	}
	c.outbox.addLocked(r, c.unanswered)
	needsPool := c.outbox.needsPoolLocked(c)
	c.mu.Unlock()
	if needsPool {
		c.m.writers.add(c)
	}
}

// returned implements replySink.
func (c *conn) returned(call *Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeInFlightLocked(call)
}

// encodeReply returns a reply to a call, encoded.
func (c *conn) encodeReply(call *Call, reply wire.Reply) *encodedReply {
	r := replyPool.Get().(*encodedReply)
	reply.ID, reply.More = call.id, false // a handler returns the final reply
	r.call = call
	c.m.long.lend(r, call.target)
	c.m.encode(r, reply)
	c.m.long.learn(r, call.target)
	return r
}

// maxStreamBytes is how many bytes of one stream may wait to be written, or one reply if that is longer.
const maxStreamBytes = 64 << 10

// A stream is the replies to one call that may have several. It has a bound of its own, so that a stream whose peer is slow
// delays its own handler and neither the reader of the conn nor other calls.
type stream struct {
	waiting int // bytes that are not written; the lock of the conn guards it
}

// replyInStream adds a reply of a stream that is not its last. It blocks while maxStreamBytes of the stream wait, so it must
// not run on the loop. ctx is the context of the call, which ends when the peer leaves. The error is its cause, or says that
// the call was answered.
func (c *conn) replyInStream(ctx context.Context, s *stream, call *Call, reply wire.Reply) error {
	r := replyPool.Get().(*encodedReply)
	reply.ID, reply.More = call.id, true
	r.call, r.stream = call, s
	c.m.encode(r, reply)
	n := r.size()
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changed.Broadcast()
	})
	defer stop()
	c.mu.Lock()
	for s.waiting > 0 && s.waiting+n > maxStreamBytes && ctx.Err() == nil {
		c.changed.Wait()
	}
	err := context.Cause(ctx)
	if err == nil && call.state.Load() == answered { // the final reply may be in the outbox
		err = errAnswered
	}
	if err != nil {
		c.mu.Unlock()
		r.free()
		return err
	}
	s.waiting += n
	c.addBufferedLocked(n)
	c.outbox.addLocked(r, c.unanswered)
	needsPool := c.outbox.needsPoolLocked(c)
	c.mu.Unlock()
	if needsPool {
		c.m.writers.add(c)
	}
	return nil
}

var errAnswered = errors.New("the call was answered")

// refusalStatus returns the HTTP status of a reply that refuses a request before a handler has seen it; 0: the result says
// all. 408 has none, since browsers repeat a POST that is answered with 408.
func refusalStatus(code wire.Code) int {
	switch code {
	case wire.CodeUnauthenticated, wire.CodeForbidden, wire.CodeTooMany, wire.CodeShuttingDown:
		return int(code)
	}
	return 0
}

// minBody is how long arguments that are encoded already must be, in bytes, for their reply to be written in parts.
const minBody = 16 << 10

// encode encodes a reply. A value that cannot be encoded is a defect of the handler: the caller gets result 500, and the
// log says why.
func (m *CommandMgr) encode(r *encodedReply, reply wire.Reply) {
	r.code = reply.Code
	if raw, ok := reply.Arguments.(wire.Raw); ok && raw.Len() >= minBody && !reply.Code.Failed() {
		r.frame, r.body, r.tail = wire.AppendParts(r.frame[:0], reply)
		return
	}
	var err error
	if r.frame, err = appendReply(r.frame[:0], reply); err == nil {
		return
	}
	m.logError("a reply cannot be encoded", "call", r.call, "error", err)
	r.frame, _ = wire.AppendReply(r.frame[:0], withID(wire.Failure(errInternal), reply.ID))
	r.code = wire.CodeInternal
}

func withID(reply wire.Reply, id wire.ID) wire.Reply {
	reply.ID = id
	return reply
}

// appendReply appends a reply to dst. The error has the text of a panic, if a MarshalJSON panics.
func appendReply(dst []byte, reply wire.Reply) (frame []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			frame, err = dst, fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return wire.AppendReply(dst, reply)
}

var errInternal = &wire.Error{Code: wire.CodeInternal, Text: "internal error; the daemon's log says more"}

// result returns the result of the call, for a Recorder and an Observer.
func (r *encodedReply) result() CallResult {
	return CallResult{Call: r.call, Code: r.code, Duration: r.took, BytesIn: r.call.size, BytesOut: r.length()}
}

// isRefusal reports whether the call was refused: its command does not exist, its peer may not run it, or a limit is
// exceeded.
func (r *encodedReply) isRefusal() bool {
	switch r.code {
	case wire.CodeForbidden, wire.CodeUnauthenticated, wire.CodeTooMany, wire.CodeShuttingDown:
		return true
	}
	return r.call.Command == nil
}
