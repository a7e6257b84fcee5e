package mgr

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/internal/netfd"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// A conn is the server side of one transport.Conn: its requests, its calls in flight and its replies.
//
// A request without an id is the last one of its conn (Kea's rule): its reply follows all other replies, and then the
// conn closes. Requests with ids may be in flight together, up to Limits.MaxInFlight; then the reader reads no more.
//
// One goroutine at a time reads a conn: its reader. It decodes, authorizes and queues requests, waits up to maxReplyWait
// for the loop, and writes the replies. The table of transitions below says when another goroutine takes over a part of
// that.
//
// A peer that reads no replies is handled in four steps. First the reader cannot write without blocking (writeBegins).
// After maxReplyWait another goroutine reads, and the first one writes on (readerDetached, poolKeeps). The new reader
// blocks in awaitWindow when MaxInFlight final replies wait, beside the batch that the writer has taken. When the time of
// writeTimeout is over, worker.onTimer closes the conn: the write fails, the reader gets an error, and close runs.
//
// An idle conn costs what the fields take, 320 bytes (TestIdleConnIsSmall): so the flags stand together, and the
// counters are short.
type conn struct {
	m        *CommandMgr
	conn     transport.Conn
	peer     *peer
	listener *Listener
	worker   *worker // of the reader, from the first frame of a batch until its replies are written; nil otherwise

	opened      int64                                       // when, in nanoseconds of the epoch
	onFrame     func(frame []byte, err error) (readOn bool) // handleFrame, bound once and not for each read loop
	onReadable  func()                                      // unparked, bound once
	killed      atomic.Pointer[wire.Error]                  // why kill closes the conn; nil: it was not killed
	closeReason atomic.Pointer[wire.Error]                  // why the conn closes before its last request; nil: it does not

	owner     bool // the peer is the owner
	reserved  bool // the conn has a descriptor of the reserve
	evicted   bool // the conn is being closed for another conn of the owner; m.mu guards it
	readEnded bool // no more requests are read; only the reader accesses it

	// The lock guards state and all fields behind it.
	state         readState
	windowFull    bool   // the reader waits until a request fits into the window
	lease         uint32 // the number of the last wait of a reader (awaiting, writing); a timer with another number does nothing
	unanswered    int32  // calls in flight without a final reply
	pendingOnLoop int32  // of those, the calls for which the reader may wait

	mu            sync.Mutex
	changed       sync.Cond // a call was answered or removed, a reply was taken or written, or the state changed
	calls         []*Call   // in flight: accepted, and their handlers have not returned
	replies       int64     // how many final replies were made
	buffered      int64     // bytes of requests in flight and of replies
	reportedBytes int64     // the part of buffered that the manager has counted
	outbox        outbox
	first         struct { // the first arrays of calls and of the outbox, since most conns have one call at a time
		calls          [1]*Call
		waiting, spare [1]*encodedReply
	}
}

// A readState says what the reader of a conn does.
type readState uint8

const (
	stateReading  readState = iota // it reads, decodes, authorizes and queues; it may write replies if that does not block
	stateAwaiting                  // it has read a batch, and takes the replies that the loop makes for it
	stateWriting                   // it writes replies, and the write may block
	stateIdle                      // there is no reader; the poller waits for the conn
	stateClosing                   // it waits for the replies that are missing, and writes them
	stateClosed                    // the conn is closed, and no call is in flight
)

// A transition is a change of a readState.
type transition uint8

const (
	batchBegins transition = iota
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
)

// transitions is the table of all transitions of a conn. Each happens in one place of the code (changeLocked), and
// TestConnTransitions walks all of them.
var transitions = [...]struct {
	from, to readState
	by       string // which goroutine
	when     string
}{
	batchBegins:    {stateReading, stateAwaiting, "reader", "a request is decoded, no goroutine writes, and no earlier call of the conn waits for the loop"},
	batchAnswered:  {stateAwaiting, stateReading, "reader", "the loop has answered the batch; the reader takes the replies"},
	replyWaitEnds:  {stateAwaiting, stateReading, "timer", "the loop has not answered for maxReplyWait; the writer pool takes the replies, and the reader reads on"},
	writeBegins:    {stateReading, stateWriting, "reader", "replies are left that a write may block for, or a Recorder has to see first"},
	writeEnds:      {stateWriting, stateReading, "reader", "the outbox is empty"},
	readerDetached: {stateWriting, stateReading, "timer", "the reader has not read for maxReplyWait; another goroutine becomes the reader, and this one a pool writer"},
	connParked:     {stateReading, stateIdle, "reader", "the peer was silent for 30 ms; the poller has the conn"},
	connNotParked:  {stateIdle, stateReading, "reader", "the poller cannot take the conn; a new goroutine reads it"},
	connUnparked:   {stateIdle, stateReading, "poller", "the conn is readable or closed, or a drain begins; a goroutine of the reader pool reads it"},
	closeBegins:    {stateReading, stateClosing, "reader", "the last request is read, or no more can be read"},
	closeEnds:      {stateClosing, stateClosed, "reader", "all replies are written or cannot be written, and all handlers have an answer"},
}

// changeLocked makes a transition. The caller holds c.mu.
func (c *conn) changeLocked(t transition) {
	from := c.state
	c.state = transitions[t].to
	if c.m.onTransition != nil {
		c.m.onTransition(c, from, t)
	}
}

// newConn returns the conn of a transport.Conn that has joined a listener. No goroutine reads it yet.
func newConn(l *Listener, accepted transport.Conn, p *peer, owner, reserved bool) *conn {
	c := &conn{m: l.m, conn: accepted, peer: p, owner: owner, reserved: reserved, listener: l, opened: time.Now().UnixNano()}
	c.changed.L = &c.mu
	c.onFrame = c.handleFrame
	c.onReadable = c.unparked
	c.calls = c.first.calls[:0]
	c.outbox.waiting, c.outbox.spare = c.first.waiting[:0], c.first.spare[:0]
	return c
}

// serve reads the conn and serves its requests, until the conn is closed, is parked, or has another reader. It runs on a
// goroutine of the reader pool.
func (c *conn) serve() {
	for !c.readEnded {
		silent := c.readLoop()
		if !c.writeLeft() {
			return // another goroutine is the reader now
		}
		if silent {
			c.park()
			return
		}
	}
	c.close()
	c.freeWorker()
}

// readLoop reads frames and handles batches of them. It returns when replies are left that a write may block for, when no
// more requests are read, or when the peer has been silent for a while, which it reports.
func (c *conn) readLoop() (silent bool) {
	if fast := fastPath(c.conn); fast != nil {
		return fast.ReadLoop(c.listener.readCtx, c.onFrame) == netfd.Idle
	}
	w := c.ensureWorker()
	frame, err := c.conn.Receive(c.listener.readCtx, w.scratch[:0])
	w.keepScratch(frame)
	c.handleFrame(frame, err)
	return false
}

// fastPath returns the fast path of a conn that is or embeds a *transport.Stream, and nil for any other conn.
func fastPath(conn transport.Conn) netfd.FrameConn {
	if fast, ok := conn.(interface{ Fast() netfd.FrameConn }); ok {
		return fast.Fast()
	}
	return nil
}

// handleFrame is the picture in the package comment, read downwards. It gets a frame, or the error for which there is
// none, and takes more frames that have arrived. It reports whether the read loop may go on: no replies are left, and
// the last request has not been read.
func (c *conn) handleFrame(frame []byte, err error) (readOn bool) {
	w := c.ensureWorker()
	batch := c.readBatch(w, frame, err) // bytes → frame → request → authorization
	c.submit(w, batch)                  // record → queue → loop → handler → reply
	replies := c.awaitReplies(w)        // the replies come back through reply and the outbox
	w.left = c.tryWrite(w, replies)     // reply → frame → bytes
	if w.left != nil || c.readEnded {
		return false
	}
	c.freeWorker()
	return true
}

// readBatch decodes the requests that have arrived, at least one and as many as fit into the window. It returns the calls
// that may run. It answers the others. The first request is decoded before there is room for it: so the reader notices a
// cancel, and the end of the conn, while the window is full.
func (c *conn) readBatch(w *worker, frame []byte, err error) (batch []*Call) {
	batch = w.batch[:0]
	w.received = time.Now()
	for room := 0; ; room-- {
		if err != nil {
			if err != errNoWait { //nolint:errorlint // nothing wraps it, and this is the hot path
				c.handleReadError(err)
			}
			break
		}
		call := &Call{manager: c.m, sink: c, Peer: c.conn.Peer(), Received: w.received, Via: c.listener.config.Load()}
		call.decode(frame)
		if room == 0 {
			room = c.awaitWindow(call)
		}
		c.readEnded = call.id.IsZero()
		if rerr := c.admit(call); rerr != nil {
			call.refuse(rerr)
		} else {
			batch = append(batch, call)
		}
		if c.readEnded || room == 1 {
			break
		}
		frame, err = c.conn.Receive(noWait, w.scratch[:0])
		w.keepScratch(frame)
	}
	w.batch = batch
	return batch
}

// noWait is the context of a Receive that returns at once. It has ended from the beginning, and its methods cost less than
// those of a context that was cancelled.
var noWait context.Context = endedContext{context.Background()}

type endedContext struct{ context.Context }

func (endedContext) Done() <-chan struct{} { return closedChannel }
func (endedContext) Err() error            { return errNoWait }

var closedChannel = func() chan struct{} {
	closed := make(chan struct{})
	close(closed)
	return closed
}()

var errNoWait = errors.New("no more frames have arrived")

// awaitWindow waits until a call fits into the window, and returns how many calls fit. It makes the transition batchBegins
// where its row allows that. The window is full when MaxInFlight calls are in flight, and also when MaxInFlight final replies
// wait. The batch that a writer has taken does not count. Replies of a stream do not count either; maxStreamBytes bounds
// them. A cancel may be one more than MaxInFlight.
func (c *conn) awaitWindow(call *Call) (room int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		limit := c.m.limits.Load().MaxInFlight
		if call.Name == cancelName {
			limit++
		}
		if c.windowFull = len(c.calls) >= limit || c.outbox.finalsLocked() >= limit; !c.windowFull {
			if c.outbox.writer == noWriter && c.pendingOnLoop == 0 {
				c.changeLocked(batchBegins)
			}
			return limit - len(c.calls)
		}
		c.changed.Wait()
	}
}

// admit decides whether a call may run, and decodes its arguments. A call that it admits is in flight.
func (c *conn) admit(call *Call) *wire.Error {
	if call.rerr != nil {
		return call.rerr
	}
	if why := c.killed.Load(); why != nil {
		c.readEnded = true
		return why
	}
	if revoked(call.Peer) {
		c.readEnded = true
		c.closeReason.Store(errRevoked)
		return errRevoked
	}
	if !c.peer.mayCall(call.Received) {
		return wire.Errorf(wire.CodeTooMany, "", "more than %d commands per second from %s; try again later", c.m.limits.Load().MaxRate, call.Peer)
	}
	if rerr := c.m.check(call); rerr != nil {
		return rerr
	}
	call.bind(c.conn.Context())
	return c.addInFlight(call)
}

// addInFlight adds a call to those in flight, if the limits allow it.
func (c *conn) addInFlight(call *Call) *wire.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if full := c.noRoomLocked(call.held()); full != nil {
		return errFull(full, call.Peer)
	}
	if !call.id.IsZero() && c.findLocked(call.id) != nil {
		return wire.Errorf(wire.CodeConflict, "id-in-use", "the id %s is in use; wait for its reply or take another", call.id)
	}
	if !c.peer.acquire() {
		return wire.Errorf(wire.CodeTooMany, "", "%s has %d commands in flight, as many as one peer may; wait for replies", call.Peer, c.m.limits.Load().MaxInFlightPerPeer)
	}
	c.calls = append(c.calls, call)
	c.unanswered++
	call.holders.Store(2)
	c.addBufferedLocked(call.held())
	call.inFlight = true
	if !call.target.Async && !call.target.critical {
		call.pendingOnLoop = true
		c.pendingOnLoop++
	}
	return nil
}

// findLocked returns the call that has the id and has not been answered, or nil. The caller holds c.mu.
func (c *conn) findLocked(id wire.ID) *Call {
	for _, call := range c.calls {
		if call.id == id && call.state.Load() != answered {
			return call
		}
	}
	return nil
}

// removeInFlightLocked removes a call whose handler has returned, or will never run. The caller holds c.mu.
func (c *conn) removeInFlightLocked(call *Call) {
	i := slices.Index(c.calls, call) // most often the first
	if i < 0 {
		return
	}
	if c.windowFull {
		c.changed.Broadcast()
	}
	last := len(c.calls) - 1
	c.calls[i], c.calls[last] = c.calls[last], nil
	c.calls = c.calls[:last]
	c.peer.release()
	c.addBufferedLocked(-call.releaseHolder())
}

// addBufferedLocked counts n more bytes that the conn makes the daemon hold; n may be negative. The manager gets the sum in
// steps of 16 KiB, so that many conns with short requests do not contend for one counter. The caller holds c.mu.
func (c *conn) addBufferedLocked(n int) {
	const page = 16 << 10
	if c.state == stateClosed { // all of buffered was returned
		return
	}
	c.buffered += int64(n)
	if d := c.buffered - c.reportedBytes; d > page || d < -page || c.buffered == 0 && d != 0 {
		c.reportedBytes = c.buffered
		c.m.addBuffered(c.peer, d)
	}
}

// submit records the calls of a batch that may change something, publishes all, and queues them.
func (c *conn) submit(w *worker, batch []*Call) {
	if rerr := c.record(w, batch); rerr != nil {
		batch = slices.DeleteFunc(batch, func(call *Call) bool {
			if call.changes() {
				call.refuse(rerr)
			}
			return call.changes()
		})
	}
	for _, call := range batch {
		call.publish()
	}
	if why := c.killed.Load(); why != nil { // kill may have run before they were published
		for _, call := range batch {
			call.drop(why, false)
		}
	}
	rejected, why := c.queue(batch)
	if why != nil && isShuttingDown(why) {
		c.closeReason.Store(why)
	}
	for _, call := range rejected {
		call.refuse(why)
	}
	clear(w.batch)
	w.batch = w.batch[:0]
}

// record gives the calls that may change something to the Recorder. On an error none of those runs.
func (c *conn) record(w *worker, batch []*Call) *wire.Error {
	if c.m.opts.Recorder == nil {
		return nil
	}
	w.beginStep(c, stepRecording, stallTimeout)
	defer w.endStep()
	return c.m.begin(batch)
}

// queue queues the batch, unless the drain of the listener or of the manager has begun. It returns the calls that it could
// not queue, and why.
func (c *conn) queue(batch []*Call) (rejected []*Call, why *wire.Error) {
	if draining := c.listener.refusal(); draining != nil {
		return batch, draining
	}
	return c.m.place(batch...)
}

// handleReadError ends the reading of a conn whose peer has sent all that it will send, or has sent no frame.
func (c *conn) handleReadError(err error) {
	c.readEnded = true
	if draining := c.listener.refusal(); draining != nil {
		c.closeReason.Store(draining)
		return
	}
	if errors.Is(err, io.EOF) || c.conn.Context().Err() != nil {
		return
	}
	if ferr, ok := errors.AsType[*transport.FrameError](err); ok {
		call := &Call{manager: c.m, sink: c, Peer: c.conn.Peer(), Via: c.listener.config.Load(), Received: time.Now()}
		call.refuse(frameError(ferr))
		return
	}
	if c.m.log.Enabled(c.m.background, slog.LevelDebug) && c.m.refusals.Allow(c.conn.Peer().String()) {
		c.m.log.Debug("cannot receive", "peer", c.conn.Peer().String(), "error", err)
	}
}

// maxReplyWait is how long the reader waits for the replies to the requests that it has read, and for the peer to take
// them. Then another goroutine writes, or reads. A cancel may be unread for so long, and a departure unseen.
const maxReplyWait = 20 * time.Millisecond

// awaitReplies waits until the loop has answered the batch, and takes the replies: the goroutine that reads the conn also
// writes them, so no other has to be woken. It returns nil when there are none for it.
func (c *conn) awaitReplies(w *worker) []*encodedReply {
	c.mu.Lock()
	if c.state != stateAwaiting {
		c.mu.Unlock()
		return nil
	}
	if c.pendingOnLoop > 0 {
		c.lease++
		lease := c.lease
		c.mu.Unlock()
		w.startDeadline(c, lease, w.received.Add(maxReplyWait))
		defer w.stopDeadline()
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	for c.state == stateAwaiting && c.pendingOnLoop > 0 {
		c.changed.Wait()
	}
	if c.state != stateAwaiting {
		return nil
	}
	c.changeLocked(batchAnswered)
	return c.outbox.takeLocked(c, readerTakes)
}

// writeLeft writes the replies that tryWrite has left. It blocks until the outbox is empty. It reports whether this
// goroutine still is the reader; otherwise it has waited for the peer for too long, and another goroutine reads.
func (c *conn) writeLeft() (stillReader bool) {
	w := c.worker
	if w == nil || w.left == nil {
		return true
	}
	batch := w.left
	w.left = nil
	c.mu.Lock()
	c.changeLocked(writeBegins)
	c.lease++
	lease := c.lease
	w.closeAfterWrite = c.readEnded && c.unanswered == 0 && len(c.outbox.waiting) == 0
	c.mu.Unlock()
	w.startDeadline(c, lease, w.received.Add(maxReplyWait))
	if w.partlyWritten {
		w.writeRest(c, batch)
		w.partlyWritten, w.rest = false, nil
		batch, stillReader = c.written(w, batch)
	}
	if batch != nil {
		stillReader = c.writeAll(w, batch)
	}
	w.closeAfterWrite = false
	w.stopDeadline()
	if !stillReader { // c.worker is that of the new reader
		c.m.workers.Put(w)
		return false
	}
	if c.readEnded {
		return true
	}
	c.freeWorker()
	// The peer may have sent its next request already. To read it at once would be unfair to the conns that wait for this
	// processor, and those make larger batches: on one processor with 16 clients p99 falls from 2.7 to 0.2 ms.
	runtime.Gosched()
	return true
}

// replyDeadline runs when the reader has not read for maxReplyWait. In state awaiting the writer pool gets the replies,
// and the reader reads on. In state writing another goroutine becomes the reader; the present one becomes a pool writer. A
// timer of an earlier wait has another lease, and changes nothing.
func (c *conn) replyDeadline(lease uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if lease != c.lease {
		return
	}
	switch c.state {
	case stateAwaiting:
		c.changeLocked(replyWaitEnds)
		c.changed.Broadcast()
		if c.outbox.needsPoolLocked(c) {
			c.m.writers.add(c)
		}
	case stateWriting:
		c.worker = nil // the present reader keeps its worker; the new one takes another
		c.changeLocked(readerDetached)
		c.outbox.changeLocked(c, poolKeeps)
		c.m.readers.add(c)
	}
}

// park gives an idle conn to the poller, so that it needs no goroutine. Where the poller cannot take it a new goroutine
// reads it, whose stack is small since it has decoded no request.
func (c *conn) park() {
	c.mu.Lock()
	c.changeLocked(connParked)
	c.mu.Unlock()
	if fast, p := fastPath(c.conn), c.m.poller(); fast == nil || p == nil || !fast.Park(p, c.onReadable) {
		c.mu.Lock()
		c.changeLocked(connNotParked)
		c.mu.Unlock()
		c.m.readers.addFresh(c)
		return
	}
	if c.listener.readCtx.Err() != nil { // Drain may have looked before the conn was parked
		c.unpark()
	}
}

// unpark wakes a parked conn, which a drain has to close. It does nothing if the conn is not parked. A drain ends the
// context before it calls unpark, and park parks before it looks at the context: so one of the two finds the conn.
func (c *conn) unpark() {
	if fast, p := fastPath(c.conn), c.m.openPoller(); fast != nil && p != nil {
		fast.Unpark(p)
	}
}

// unparked is called once for each time that the conn was parked.
func (c *conn) unparked() {
	c.mu.Lock()
	c.changeLocked(connUnparked)
	c.mu.Unlock()
	c.m.readers.add(c)
}

// ensureWorker returns the worker of the reader.
func (c *conn) ensureWorker() *worker {
	if c.worker == nil {
		c.worker = c.m.workers.Get().(*worker)
	}
	return c.worker
}

// freeWorker keeps the worker of the reader for another conn.
func (c *conn) freeWorker() {
	if c.worker != nil {
		c.m.workers.Put(c.worker)
		c.worker = nil
	}
}

// close waits until all replies are written, or cannot be, and closes the conn. The reader writes them itself.
func (c *conn) close() {
	c.awaitDeparture()
	gone := c.conn.Context()
	if c.cancellable() != nil { // the end of the context ends it
		stop := context.AfterFunc(gone, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.changed.Broadcast()
		})
		defer stop()
	}
	c.mu.Lock()
	c.changeLocked(closeBegins)
	for c.owesLocked() && gone.Err() == nil {
		c.writeOrWaitLocked()
	}
	c.mu.Unlock()
	c.closeConn()
	c.mu.Lock()
	for c.owesLocked() { // the calls of a peer that has left end soon: they are dropped or cancelled
		c.writeOrWaitLocked()
	}
	c.addBufferedLocked(int(-c.buffered))
	c.changeLocked(closeEnds)
	c.mu.Unlock()
	c.m.removeConn(c)
}

// awaitDeparture notices that the peer leaves while its last commands run off the loop, so that they end. The reader
// discards what the peer sends meanwhile.
func (c *conn) awaitDeparture() {
	for call := c.cancellable(); call != nil; call = c.cancellable() {
		if _, err := c.conn.Receive(call.canceller.ctx, nil); err != nil && call.canceller.ctx.Err() == nil {
			return
		}
	}
}

// cancellable returns a call in flight whose context the departure of the peer would end, or nil.
func (c *conn) cancellable() *Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range c.calls {
		if call.canceller != nil && call.canceller.ctx.Err() == nil {
			return call
		}
	}
	return nil
}

// owesLocked reports whether a reply is missing or not written. The caller holds c.mu.
func (c *conn) owesLocked() bool { return c.unanswered > 0 || c.outbox.busyLocked() }

// writeOrWaitLocked writes the replies that wait, or waits for a change. The caller holds c.mu; meanwhile it is free.
func (c *conn) writeOrWaitLocked() {
	batch := c.outbox.takeLocked(c, readerTakes)
	if batch == nil {
		c.changed.Wait()
		return
	}
	c.mu.Unlock()
	c.writeAll(c.ensureWorker(), batch)
	c.mu.Lock()
}

// closeConn closes the transport's conn. The peer gets the reason, if there is one beside its last request.
func (c *conn) closeConn() {
	closeFor(c.conn, cmp.Or(c.killed.Load(), c.closeReason.Load()))
}

// closeFor closes a conn because of an error, and tells the peer that error where the transport can; nil: there is none.
func closeFor(conn transport.Conn, why *wire.Error) {
	switch {
	case why == nil:
		_ = conn.Close()
	case isShuttingDown(why):
		_ = transport.CloseWithReason(conn, transport.CloseReason{Code: transport.GoingAway, Text: why.Text})
	default:
		_ = transport.CloseWithReason(conn, transport.CloseReason{Code: transport.PolicyViolation, Text: why.Text})
	}
}

// isShuttingDown reports whether an error says that no more commands are accepted. The refusal of a conn because of a limit
// has the same code, and another word.
func isShuttingDown(why *wire.Error) bool {
	return why.Is(&wire.Error{Code: wire.CodeShuttingDown, Word: wire.CodeShuttingDown.String()})
}
