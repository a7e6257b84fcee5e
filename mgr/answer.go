package mgr

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/wire"
)

// An answer is an encoded reply on its way, and what the log will say about it.
type answer struct {
	frame []byte
	body  []byte // what follows it, if the reply is sent in parts: it belongs to the handler
	tail  string // what follows that
	call  *Call
	code  wire.Code
	took  time.Duration

	isLast    bool // it answers a request without an id
	isSpelled bool // and has Kea's spelling
	status    int  // of HTTP, for a reply to a call that no handler has seen; 0: none
}

var answers = sync.Pool{New: func() any { return new(answer) }}

// maxKept is the largest buffer that is kept with an answer for another reply. Longer ones are kept in longBuffers.
const maxKept = 128 << 10

// size is how many bytes the reply holds until it has been sent. A body that belongs to the handler counts, too: it may
// live only because of this reply.
func (a *answer) size() int { return answerBytes + cap(a.frame) + len(a.body) + len(a.tail) }

// length is how many bytes of it are sent.
func (a *answer) length() int { return len(a.frame) + len(a.body) + len(a.tail) }

// answerBytes is about what an answer needs beside its buffers, and its place in an outbox.
const answerBytes = 128

func (a *answer) release() {
	if cap(a.frame) > maxKept {
		a.frame = nil
	}
	a.call, a.body, a.tail, a.status = nil, nil, "", 0
	a.isLast, a.isSpelled = false, false
	answers.Put(a)
}

// answered implements answerer: reply → frame. It runs where the reply was made, so that for a
// command on the loop the reply cannot race with the state that it describes.
func (c *conversation) answered(call *Call, reply wire.Reply, finished bool) {
	a := answers.Get().(*answer)
	reply.ID, reply.More = call.id, false // what a handler returns is the last reply
	a.call = call
	c.m.long.lend(a, call.target)
	c.m.encode(a, reply)
	c.m.long.learn(a, call.target)
	if call.refused {
		a.status = refusalStatus(a.code)
	}
	if c.m.isHeard() {
		a.took = time.Since(call.Received)
	}

	c.mu.Lock()
	c.answers++
	c.hold(a.size())
	if !call.entered { // it was refused, and lives until that has been sent
		call.holders.Store(1)
		c.hold(call.held())
	} else {
		c.owed--
		if finished {
			c.leave(call)
		}
	}
	if call.awaited {
		c.awaited--
	}
	if call.id.IsZero() {
		a.isLast = true
		c.last = a
	} else {
		c.out = append(c.out, a)
	}
	if c.owed == 0 && c.last != nil {
		c.out = append(c.out, c.last)
		c.last = nil
	}
	send := !c.sending && len(c.out) > 0
	if send && (c.closing || c.settling) {
		if c.closing || c.awaited == 0 {
			c.changed.Broadcast()
		}
		send = false
	}
	c.sending = c.sending || send
	c.mu.Unlock()
	if send {
		c.m.senders.send(c)
	}
}

// refusalStatus returns the HTTP status of a request that was refused with code before any handler saw it; 0: the
// result says everything. 408 is not among them, since browsers repeat a POST that is answered 408.
func refusalStatus(code wire.Code) int {
	switch code {
	case wire.CodeUnauthenticated, wire.CodeForbidden, wire.CodeTooMany, wire.CodeShuttingDown:
		return int(code)
	}
	return 0
}

// minBody is how long arguments that are encoded already must be for their reply to be sent in parts.
const minBody = 16 << 10

// encode encodes a reply. What cannot be encoded is a defect of the handler: the caller is
// told of result 500, the log why.
func (m *CommandMgr) encode(a *answer, reply wire.Reply) {
	a.code = reply.Code
	if raw, ok := reply.Arguments.(wire.Raw); ok && raw.Len() >= minBody && !reply.Code.Failed() {
		a.frame, a.body, a.tail = wire.AppendParts(a.frame[:0], reply)
		return
	}
	var err error
	if a.frame, err = appendReply(a.frame[:0], reply); err == nil {
		return
	}
	m.logError("a reply cannot be encoded", "call", a.call, "error", err)
	a.frame, _ = wire.AppendReply(a.frame[:0], withID(wire.Failure(errInternal), reply.ID))
	a.code = wire.CodeInternal
}

func withID(reply wire.Reply, id wire.ID) wire.Reply {
	reply.ID = id
	return reply
}

// appendReply makes an error of a panic in somebody's MarshalJSON.
func appendReply(dst []byte, reply wire.Reply) (frame []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			frame, err = dst, fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return wire.AppendReply(dst, reply)
}

var errInternal = &wire.Error{Code: wire.CodeInternal, Text: "internal error; the daemon's log says more"}

// flush sends a batch that was taken, frame → bytes, and what came to wait meanwhile, until nothing does.
func (c *conversation) flush(w *sender, batch []*answer) {
	for batch != nil {
		c.spellForKea(batch) // before the record, which has the length of the reply
		w.recordEnds(c, batch)
		w.deliver(c, batch)
		batch = c.delivered(w, batch)
	}
}

// delivered tells of the end of calls whose replies have been sent, and returns what came to wait meanwhile.
func (c *conversation) delivered(w *sender, batch []*answer) []*answer {
	w.observe(c, batch)
	w.log(c, batch)
	bytes := 0
	for _, a := range batch {
		bytes += a.size() + a.call.letGo()
		c.m.long.keep(a)
		a.release()
	}
	clear(batch)
	return c.unsent(batch, bytes)
}

// unsent takes what waits to be sent, and gives back the array of what was sent before, so many
// bytes. When nothing waits the conversation has no sender any more.
func (c *conversation) unsent(before []*answer, bytes int) []*answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold(-bytes)
	c.spare = before
	if len(c.out) == 0 {
		c.sending, c.writing = false, false
		c.changed.Broadcast()
		return nil
	}
	return c.takeOut()
}

// toSend takes what waits to be sent.
func (c *conversation) toSend() []*answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.takeOut()
}

// takeOut takes what waits to be sent. c.mu is held.
func (c *conversation) takeOut() []*answer {
	if c.full {
		c.changed.Broadcast()
	}
	batch := c.out
	c.out, c.spare = c.spare[:0], nil
	return batch
}

// isHeard reports whether anybody wants to know how calls end.
func (m *CommandMgr) isHeard() bool {
	return m.opts.Observer != nil || m.opts.Recorder != nil || m.log.Enabled(m.background, slog.LevelWarn)
}

// observe tells the Observer of answered calls.
func (w *sender) observe(c *conversation, batch []*answer) {
	if c.m.opts.Observer == nil {
		return
	}
	w.begin(c, observing, stallTimeout)
	defer w.end()
	for _, a := range batch {
		c.m.opts.Observer.CallDone(a.result())
	}
}

// result returns the result of the call, for a Recorder and an Observer.
func (a *answer) result() CallResult {
	return CallResult{Call: a.call, Code: a.code, Duration: a.took, BytesIn: a.call.size, BytesOut: a.length()}
}

// log writes a line for each answered call. A peer needs no right for a call that is refused, so the lines of
// those are limited for each peer.
func (w *sender) log(c *conversation, batch []*answer) {
	began := false
	for _, a := range batch {
		level := slog.LevelInfo
		if a.code == wire.CodeForbidden || a.code == wire.CodeUnauthenticated {
			level = slog.LevelWarn
		}
		if !c.m.log.Enabled(c.m.background, level) || a.isRefused() && !c.m.refusals.Allow(a.call.Peer.String()) {
			continue
		}
		if !began {
			began = true
			w.begin(c, logging, stallTimeout)
			defer w.end()
		}
		c.m.log.LogAttrs(c.m.background, level, "command",
			slog.String("peer", a.call.Peer.String()),
			slog.String("session", a.call.Peer.Session),
			slog.String("command", a.call.shown()),
			slog.Int("result", int(a.code)),
			slog.Duration("duration", a.took))
	}
}

// isRefused reports whether the call was refused: there is no such command, or the peer may not give it, or too
// many at a time.
func (a *answer) isRefused() bool {
	switch a.code {
	case wire.CodeForbidden, wire.CodeUnauthenticated, wire.CodeTooMany, wire.CodeShuttingDown:
		return true
	}
	return a.call.Command == nil
}

// shown is the command's name as a log may have it. One that there is not may have anything in it, also
// what drives a terminal or hides the rest of a line.
func (c *Call) shown() string {
	if c.Command != nil {
		return c.Name
	}
	quoted := strconv.Quote(wire.Shorten(c.Name))
	return quoted[1 : len(quoted)-1]
}
