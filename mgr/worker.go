package mgr

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/internal/netfd"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// A worker has the buffers and the timer of a goroutine of a pool, while that goroutine serves a conn. Readers and pool
// writers take workers from CommandMgr.workers, and put them back. Only the goroutine accesses the fields above the lock.
type worker struct {
	received time.Time // when the batch arrived
	batch    []*Call   // the calls that are about to be queued
	scratch  []byte    // the buffer for frames

	left            []*encodedReply // taken to be written, and not written
	partlyWritten   bool            // a part of left was given to the conn
	rest            []*encodedReply // if so, the replies that were not
	closeAfterWrite bool            // the replies that are being written are the last of their conn

	frames  [][]byte     // of the replies in one write
	results []CallResult // of the calls in one batch

	mu         sync.Mutex
	conn       *conn     // the conn that the deadlines below are for; nil: none
	detachAt   time.Time // when conn needs another reader; zero: no deadline
	lease      uint32    // the number of the wait that detachAt belongs to
	step       step      // the step that is under way
	stepEnd    time.Time // when the step has taken too long; zero: there is no step, or its end was reported
	timer      *time.Timer
	timerFires time.Time // when timer fires; zero: it does not
}

// maxKeptFrame is the largest buffer, in bytes, that is kept for the next frame.
const maxKeptFrame = 4 << 10

// keepScratch keeps the buffer of a frame, which is valid only until the next frame is received.
func (w *worker) keepScratch(frame []byte) {
	if cap(frame) <= maxKeptFrame {
		w.scratch = frame[:0]
	}
}

// A step is a part of the work that may take long. The time limit of each step begins with it: so a slow Recorder, Observer
// or log handler costs no peer its conn.
type step uint8

const (
	stepWriting   step = iota // the peer takes replies. It has WriteTimeout for each 32 KiB; then its conn is closed
	stepRecording             // Recorder.Begin or End runs. After stallTimeout the log says so
	stepObserving             // Observer.CallDone runs. The same
	stepLogging               // the log handler runs. The same
)

// stallTimeout is how long a step of the daemon's own may take before the log names it.
const stallTimeout = time.Second

// errNotRead is the reason for closing the conn of a peer that does not take its replies. The peer seldom gets it: no
// close frame can follow a message that was written in part.
var errNotRead = &wire.Error{Code: wire.CodeCancelled, Text: "the replies were not read within write-timeout"}

func (s step) String() string {
	return [...]string{"the peer", "the recorder", "the observer", "the log handler"}[s]
}

// beginStep sets the deadline of a step.
func (w *worker) beginStep(c *conn, s step, timeout time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn, w.step, w.stepEnd = c, s, time.Now().Add(timeout)
	w.setTimerLocked(w.stepEnd)
}

// endStep removes the deadline of the step.
func (w *worker) endStep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stepEnd = time.Time{}
	if w.detachAt.IsZero() {
		w.conn = nil
	}
}

// startDeadline sets the deadline of a reader that waits: the timer calls replyDeadline with the lease at the given time,
// unless stopDeadline is called before.
func (w *worker) startDeadline(c *conn, lease uint32, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn, w.detachAt, w.lease = c, at, lease
	w.setTimerLocked(at)
}

// stopDeadline removes the deadline of startDeadline. A timer that has fired already may call replyDeadline later; the
// lease tells replyDeadline so.
func (w *worker) stopDeadline() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn, w.detachAt = nil, time.Time{}
}

// setTimerLocked makes the timer fire at a moment, or before. A timer that fires earlier is left alone: a step that does
// not stall, which is the rule, does not change the timer. The caller holds w.mu.
func (w *worker) setTimerLocked(at time.Time) {
	if !w.timerFires.IsZero() && !at.Before(w.timerFires) {
		return
	}
	w.timerFires = at
	if w.timer == nil {
		w.timer = time.AfterFunc(time.Until(at), w.onTimer)
		return
	}
	w.timer.Reset(time.Until(at))
}

// onTimer calls replyDeadline, closes the conn of a peer that does not take its replies, and reports other steps that take
// too long, as far as their deadlines have passed.
func (w *worker) onTimer() {
	now := time.Now()
	w.mu.Lock()
	w.timerFires = time.Time{}
	c, s, lease := w.conn, w.step, w.lease
	detach := !w.detachAt.IsZero() && !now.Before(w.detachAt)
	stalled := !w.stepEnd.IsZero() && !now.Before(w.stepEnd)
	if detach {
		w.detachAt = time.Time{}
	}
	if stalled {
		w.stepEnd = time.Time{} // once is enough
	}
	for _, next := range []time.Time{w.detachAt, w.stepEnd} {
		if !next.IsZero() {
			w.setTimerLocked(next)
		}
	}
	w.mu.Unlock()
	switch {
	case c == nil:
	case stalled && s == stepWriting:
		closeFor(c.conn, errNotRead) // before the log handler, which may stall
		if peer := c.conn.Peer().String(); c.m.refusals.Allow(peer) {
			go c.m.log.Warn("a peer does not read its replies; its conn is closed", "peer", peer)
		}
	case stalled:
		go c.m.logStall(s, c.conn.Peer()) // the log handler may be the step that stalls
	}
	if c != nil && detach {
		c.replyDeadline(lease)
	}
}

// logStall reports that a step of the daemon's own delays the replies of a peer.
func (m *CommandMgr) logStall(s step, peer transport.Peer) {
	m.log.Warn(s.String()+" takes long; replies wait for it", "longer-than", stallTimeout, "peer", peer.String())
}

// watchRecorder reports a Recorder that takes long for a call that came over no conn. The caller calls stop when the
// Recorder has returned.
func (m *CommandMgr) watchRecorder(call *Call) (stop func()) {
	if m.opts.Recorder == nil {
		return func() {}
	}
	timer := time.AfterFunc(stallTimeout, func() { m.logStall(stepRecording, call.Peer) })
	return func() { timer.Stop() }
}

// writeFromPool writes the replies of a conn. It runs on a goroutine of the writer pool.
func (c *conn) writeFromPool() {
	w := c.m.workers.Get().(*worker)
	c.mu.Lock()
	batch := c.outbox.nextLocked(c)
	c.mu.Unlock()
	c.writeAll(w, batch)
	c.m.workers.Put(w)
}

// writeAll writes a batch, and the replies that are added meanwhile, until the outbox is empty. It blocks. It reports
// whether the goroutine still is the reader of the conn.
func (c *conn) writeAll(w *worker, batch []*encodedReply) (stillReader bool) {
	for batch != nil {
		c.spellForKea(batch) // before the record, which has the length of the reply
		w.recordEnds(c, batch)
		w.write(c, batch)
		batch, stillReader = c.written(w, batch)
	}
	return stillReader
}

// tryWrite writes a batch, and the replies that are added meanwhile, as far as no write blocks. It returns the batch that
// is not written. Only a conn with a descriptor is written to in this way. Where there is a Recorder it has to see the
// results first, and may block.
func (c *conn) tryWrite(w *worker, batch []*encodedReply) (left []*encodedReply) {
	if batch == nil {
		return nil
	}
	fast := fastPath(c.conn)
	if fast == nil || c.m.opts.Recorder != nil {
		return batch
	}
	for batch != nil {
		c.spellForKea(batch)
		rest, sent, err := w.trySend(fast, batch)
		w.clearFrames()
		switch {
		case err == errors.ErrUnsupported: //nolint:errorlint // nothing wraps it, and this is the hot path
			return batch
		case err != nil:
			w.writeFailed(c, err)
		case !sent:
			w.partlyWritten, w.rest = true, rest
			return batch
		}
		batch, _ = c.written(w, batch)
	}
	return nil
}

// written reports the results of calls whose final replies have been written, and returns the next batch of the outbox. If
// there is none, stillReader says whether the goroutine still is the reader of the conn.
func (c *conn) written(w *worker, batch []*encodedReply) (next []*encodedReply, stillReader bool) {
	w.observe(c, batch)
	w.logCalls(c, batch)
	bytes := 0
	for _, r := range batch {
		bytes += r.size()
		if r.stream != nil {
			c.writtenInStream(r)
		} else {
			bytes += r.call.releaseHolder()
		}
		c.m.long.keep(r)
		r.free()
	}
	clear(batch)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addBufferedLocked(-bytes)
	return c.outbox.doneLocked(c, batch)
}

// writtenInStream makes room for another reply of the same stream.
func (c *conn) writtenInStream(r *encodedReply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.stream.waiting -= r.size()
	c.changed.Broadcast()
}

// write writes replies. When that fails the context of the conn ends, which ends the reading.
func (w *worker) write(c *conn, batch []*encodedReply) {
	c.spellForKea(batch)
	w.writeStep(c, batch, func() error { return w.send(c.m.background, c.conn, batch) })
}

// writeRest writes the replies of a batch that tryWrite has left, behind the bytes that the conn has kept.
func (w *worker) writeRest(c *conn, batch []*encodedReply) {
	w.writeStep(c, batch, func() error {
		if err := c.conn.Send(c.m.background); err != nil {
			return err
		}
		return w.send(c.m.background, c.conn, w.rest)
	})
}

// writeStep calls send within the time that the peer has for a batch.
func (w *worker) writeStep(c *conn, batch []*encodedReply, send func() error) {
	bytes := 0
	for _, r := range batch {
		bytes += r.length()
	}
	w.beginStep(c, stepWriting, c.writeTimeout(bytes))
	if err := send(); err != nil {
		w.writeFailed(c, err)
	} else if w.closeAfterWrite { // at once: over QUIC its end is then in the same packet
		c.closeConn()
	}
	w.endStep()
	w.clearFrames()
}

// writeTimeout returns how long the write of a batch may take, where bytes is the length of all its replies.
func (c *conn) writeTimeout(bytes int) time.Duration {
	timeout, parts := c.m.limits.Load().WriteTimeout, time.Duration(1+bytes/(32<<10))
	return min(timeout, noTimeout/parts) * parts // without the overflow of a limit that is taken away
}

// writeFailed closes a conn that takes no replies.
func (w *worker) writeFailed(c *conn, err error) {
	if c.m.log.Enabled(c.m.background, slog.LevelDebug) && c.m.refusals.Allow(c.conn.Peer().String()) {
		c.m.log.Debug("a reply could not be delivered", "peer", c.conn.Peer().String(), "error", err)
	}
	c.closeConn()
}

// send writes replies with as few calls of Send as possible: replies in parts, which are long, and refusals, which have a
// status, have one of their own. A conn with a descriptor has no status, so refusals are written with the other replies.
func (w *worker) send(ctx context.Context, conn transport.Conn, batch []*encodedReply) (err error) {
	fast := fastPath(conn)
	for len(batch) > 0 && err == nil {
		frames, status, rest := w.nextFrames(batch, fast == nil)
		switch {
		case status != 0:
			err = conn.Send(transport.WithStatus(ctx, status), frames...)
		case len(frames) > 0:
			err = conn.Send(ctx, frames...)
		case fast != nil:
			err = fast.WriteParts(ctx, rest[0].frame, rest[0].body, rest[0].tail)
			rest = rest[1:]
		default:
			err = conn.Send(ctx, slices.Concat(rest[0].frame, rest[0].body, []byte(rest[0].tail)))
			rest = rest[1:]
		}
		batch = rest
	}
	return err
}

// trySend is send without blocking. It returns the replies that it has not given to the conn. sent is false if the conn
// keeps a part of what it was given.
func (w *worker) trySend(conn netfd.FrameConn, batch []*encodedReply) (rest []*encodedReply, sent bool, err error) {
	for sent = true; len(batch) > 0 && sent && err == nil; {
		frames, _, rest := w.nextFrames(batch, false)
		if len(frames) > 0 {
			sent, err = conn.TryWriteFrames(frames...)
		} else {
			sent, err = conn.TryWriteParts(rest[0].frame, rest[0].body, rest[0].tail)
			rest = rest[1:]
		}
		batch = rest
	}
	return batch, sent, err
}

// nextFrames returns the frames of the replies that can be written together, and the replies behind those. There are no
// frames when the first reply is in parts; rest then begins with it. With separate, a reply that has a status is returned
// alone, with its status; status is 0 for all others.
func (w *worker) nextFrames(batch []*encodedReply, separate bool) (frames [][]byte, status int, rest []*encodedReply) {
	w.frames = w.frames[:0]
	for i, r := range batch {
		switch {
		case r.body != nil, separate && r.status != 0 && i > 0:
			return w.frames, 0, batch[i:]
		case separate && r.status != 0:
			w.frames = append(w.frames, r.frame)
			return w.frames, r.status, batch[1:]
		}
		w.frames = append(w.frames, r.frame)
	}
	return w.frames, 0, nil
}

// clearFrames drops the references to the frames.
func (w *worker) clearFrames() {
	clear(w.frames)
	w.frames = w.frames[:0]
}

// isObserved reports whether an Observer, a Recorder or the log needs the results of calls.
func (m *CommandMgr) isObserved() bool {
	return m.opts.Observer != nil || m.opts.Recorder != nil || m.log.Enabled(m.background, slog.LevelWarn)
}

// recordEnds gives the results of a batch to the Recorder.
func (w *worker) recordEnds(c *conn, batch []*encodedReply) {
	if c.m.opts.Recorder == nil {
		return
	}
	w.results = w.results[:0]
	for _, r := range batch {
		if r.stream == nil {
			w.results = append(w.results, r.result())
		}
	}
	if len(w.results) == 0 {
		return
	}
	w.beginStep(c, stepRecording, stallTimeout)
	defer w.endStep()
	c.m.end(w.results...)
	clear(w.results)
}

// observe gives the results of a batch to the Observer.
func (w *worker) observe(c *conn, batch []*encodedReply) {
	if c.m.opts.Observer == nil {
		return
	}
	w.beginStep(c, stepObserving, stallTimeout)
	defer w.endStep()
	for _, r := range batch {
		if r.stream == nil {
			c.m.opts.Observer.CallDone(r.result())
		}
	}
}

// logCalls writes a line for each call of a batch. A peer needs no right for a call that is refused, so the number of those
// lines is limited for each peer.
func (w *worker) logCalls(c *conn, batch []*encodedReply) {
	began := false
	for _, r := range batch {
		level := slog.LevelInfo
		if r.code == wire.CodeForbidden || r.code == wire.CodeUnauthenticated {
			level = slog.LevelWarn
		}
		if r.stream != nil || !c.m.log.Enabled(c.m.background, level) || r.isRefusal() && !c.m.refusals.Allow(r.call.Peer.String()) {
			continue
		}
		if !began {
			began = true
			w.beginStep(c, stepLogging, stallTimeout)
			defer w.endStep()
		}
		c.m.log.LogAttrs(c.m.background, level, "command",
			slog.String("peer", r.call.Peer.String()),
			slog.String("session", r.call.Peer.Session),
			slog.String("command", r.call.shown()),
			slog.Int("result", int(r.code)),
			slog.Duration("duration", r.took))
	}
}
