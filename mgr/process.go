package mgr

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// Process runs a command and returns its reply. The daemon itself may run every command. When ctx is that of a call, the
// command has the rights of the peer of that call. In a handler on the loop the command runs at once; a critical command does
// so only inside the section. Elsewhere Process queues the command, and blocks until the reply is there.
//
// The error is the cause of the end of ctx, or says why the command cannot run here. A command that fails causes no error:
// its Reply has the result. The arguments of the Reply, or the data of its error, are those that the handler returned, and
// may belong to the loop. Off the loop ProcessEncoded is safe. Process may be called from any goroutine.
func (m *CommandMgr) Process(ctx context.Context, r wire.Request) (wire.Reply, error) {
	return m.process(ctx, r, &processSink{m: m, replies: make(chan wire.Reply, 1)})
}

// ProcessEncoded is Process for a caller that sends the reply to another program. The arguments of the reply and the data of
// its error are a wire.Raw or nil. The goroutine that made the reply encodes them, so they cannot race with the state that
// they describe.
func (m *CommandMgr) ProcessEncoded(ctx context.Context, r wire.Request) (wire.Reply, error) {
	p := &processSink{m: m, replies: make(chan wire.Reply, 1), encode: true}
	reply, err := m.process(ctx, r, p)
	return m.encoded(reply), err // a refusal, or what ran here on the loop, is not encoded yet
}

func (m *CommandMgr) process(ctx context.Context, r wire.Request, p *processSink) (wire.Reply, error) {
	call := &Call{manager: m, sink: p, Name: r.Command, Arguments: r.Arguments, Received: time.Now()}
	call.Peer = transport.Peer{Transport: "process", Creds: []transport.Credential{self{}}}
	outer, nested := CallOf(ctx)
	if nested {
		call.Peer, call.Via = outer.Peer, outer.Via
	}
	call.target = m.lookup(call.Name)
	if call.target != m.unknown {
		call.Command = &call.target.Command
	}
	onLoop := nested && outer.onLoop
	if rerr := m.check(call); rerr != nil {
		m.recordPart(call, rerr.Code, onLoop)
		return wire.Failure(rerr), nil
	}
	if onLoop {
		if call.target.Async {
			return wire.Reply{}, errors.New("the command '" + call.Name + "' runs off the loop, and a handler on the loop cannot wait for it")
		}
		if call.target.critical && m.opts.Critical.Depth() == 0 {
			return wire.Reply{}, errors.New("the command '" + call.Name + "' is critical, and a handler on the loop cannot wait until it may run; make its own command critical")
		}
		call.onLoop = true
		call.parent = ctx
		return m.invoke(call), nil
	}
	if ctx.Err() != nil {
		return wire.Reply{}, context.Cause(ctx)
	}
	stop := m.watchRecorder(call)
	rerr := m.begin([]*Call{call})
	stop()
	if rerr != nil {
		m.recordPart(call, rerr.Code, false)
		return wire.Failure(rerr), nil
	}
	call.setTimeout(r.Timeout)
	call.bind(ctx)
	m.mu.Lock()
	m.calls++
	m.mu.Unlock()
	call.publish()
	accept := m.accept
	if nested {
		accept = m.place
	}
	if _, rerr := accept(call); rerr != nil {
		call.release()
		p.returned(call)
		m.recordPart(call, rerr.Code, false)
		return wire.Failure(rerr), nil
	}
	select {
	case reply := <-p.replies:
		m.recordPart(call, reply.Code, false)
		return reply, nil
	case <-ctx.Done():
		if call.state.CompareAndSwap(waiting, answered) { // it will not run
			if call.target.critical {
				m.queue.abort(call)
			}
			m.recordPart(call, wire.CodeCancelled, false)
		} else {
			m.goTracked(func() { m.recordPart(call, (<-p.replies).Code, false) })
		}
		return wire.Reply{}, context.Cause(ctx)
	}
}

// recordPart records the result of a command that did not come over a conn. A command that ran on the loop inside of another
// command has no record of its own, unless it was refused.
func (m *CommandMgr) recordPart(call *Call, code wire.Code, onLoop bool) {
	if m.opts.Recorder == nil {
		return
	}
	end := func() {
		defer m.watchRecorder(call)()
		m.end(CallResult{Call: call, Code: code, Duration: time.Since(call.Received)})
	}
	if onLoop {
		m.goTracked(end)
		return
	}
	end()
}

// goTracked runs f on a goroutine that a drain waits for.
func (m *CommandMgr) goTracked(f func()) {
	m.mu.Lock()
	m.calls++
	m.mu.Unlock()
	go func() {
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.calls--
			m.progress.Broadcast()
		}()
		f()
	}()
}

// A processSink takes the reply to a command of Process.
type processSink struct {
	m       *CommandMgr
	replies chan wire.Reply
	encode  bool // encode the reply on the goroutine that made it
}

// reply implements replySink.
func (p *processSink) reply(call *Call, reply wire.Reply, returned bool) {
	if p.encode {
		reply = p.m.encoded(reply)
	}
	p.replies <- reply
	if returned {
		p.returned(call)
	}
}

// room implements replySink. A command of the daemon itself holds no memory for a peer.
func (p *processSink) room(*Call) *wire.Error { return nil }

// returned implements replySink.
func (p *processSink) returned(*Call) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.m.calls--
	p.m.progress.Broadcast()
}

// encoded returns a reply whose arguments, or whose data of the error, are encoded.
func (m *CommandMgr) encoded(reply wire.Reply) (encoded wire.Reply) {
	defer func() {
		if v := recover(); v != nil {
			m.logError("a reply cannot be encoded", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			encoded = wire.Failure(errInternal)
		}
	}()
	value := &reply.Arguments
	if reply.Error != nil {
		failure := *reply.Error // the loop may own that of the handler
		reply.Error = &failure
		value = &failure.Data
	}
	switch v := (*value).(type) {
	case nil, wire.Raw:
		return reply
	case wire.Value:
		if v == nil {
			*value = nil
			return reply
		}
	}
	raw, err := wire.Encode(*value)
	if err != nil {
		m.logError("a reply cannot be encoded", "error", err)
		return wire.Failure(errInternal)
	}
	*value = raw
	return reply
}
