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

// Process runs a command for the daemon itself, or, when ctx is that of a call, for that call's
// peer, whose rights it then has: a part of a command never may what the whole may not. Inside a
// handler on the loop it runs the command at once; elsewhere the command takes its turn, and Process
// waits for it. The error is ctx's cause, or says why the command cannot run from here; a command
// that fails is no error, its Reply says so. A critical command is run at once only inside the section.
//
// The Reply's arguments, or the data of its error, are what the handler returned, and may belong to the loop: beside
// the loop ProcessEncoded is the safe form.
func (m *CommandMgr) Process(ctx context.Context, r wire.Request) (wire.Reply, error) {
	return m.process(ctx, r, &processing{m: m, reply: make(chan wire.Reply, 1)})
}

// ProcessEncoded is Process for a caller that passes the reply on. The reply's arguments and the data of its error are
// a wire.Raw or nil. They were encoded where the reply was made, and so cannot race with the state they describe.
func (m *CommandMgr) ProcessEncoded(ctx context.Context, r wire.Request) (wire.Reply, error) {
	p := &processing{m: m, reply: make(chan wire.Reply, 1), encode: true}
	reply, err := m.process(ctx, r, p)
	return m.encoded(reply), err // a refusal, or what ran here on the loop, is not encoded yet
}

func (m *CommandMgr) process(ctx context.Context, r wire.Request, p *processing) (wire.Reply, error) {
	call := &Call{manager: m, answer: p, Name: r.Command, Arguments: r.Arguments, Received: time.Now()}
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
	if bad := m.check(call); bad != nil {
		m.recordPart(call, bad.Code, onLoop)
		return wire.Failure(bad), nil
	}
	if onLoop {
		if call.target.Async {
			return wire.Reply{}, errors.New("the command '" + call.Name + "' runs beside the loop, and a handler on the loop cannot wait for it")
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
	bad := m.begin([]*Call{call})
	stop()
	if bad != nil {
		m.recordPart(call, bad.Code, false)
		return wire.Failure(bad), nil
	}
	call.patience(r.Timeout)
	call.bind(ctx)
	m.mu.Lock()
	m.calls++
	m.mu.Unlock()
	call.publish()
	accept := m.accept
	if nested {
		accept = m.place
	}
	if _, bad := accept(call); bad != nil {
		call.release()
		p.finished(call)
		m.recordPart(call, bad.Code, false)
		return wire.Failure(bad), nil
	}
	select {
	case reply := <-p.reply:
		m.recordPart(call, reply.Code, false)
		return reply, nil
	case <-ctx.Done():
		if call.state.CompareAndSwap(waiting, answered) { // it need not run any more
			if call.target.critical {
				m.queue.giveUp(call)
			}
			m.recordPart(call, wire.CodeCancelled, false)
		} else {
			m.beside(func() { m.recordPart(call, (<-p.reply).Code, false) })
		}
		return wire.Reply{}, context.Cause(ctx)
	}
}

// recordPart records how a command ended that did not come over a conn. What runs on the loop inside of
// another command is recorded as that one, but for what was refused.
func (m *CommandMgr) recordPart(call *Call, code wire.Code, onLoop bool) {
	if m.opts.Recorder == nil {
		return
	}
	end := func() {
		defer m.watchRecorder(call)()
		m.end(CallResult{Call: call, Code: code, Duration: time.Since(call.Received)})
	}
	if onLoop {
		m.beside(end)
		return
	}
	end()
}

// beside runs f on a goroutine that a drain waits for.
func (m *CommandMgr) beside(f func()) {
	m.mu.Lock()
	m.calls++
	m.mu.Unlock()
	go func() {
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.calls--
			m.quiet.Broadcast()
		}()
		f()
	}()
}

// processing is where the reply to a command of Process goes.
type processing struct {
	m      *CommandMgr
	reply  chan wire.Reply
	encode bool // the reply, where it was made
}

func (p *processing) answered(call *Call, reply wire.Reply, finished bool) {
	if p.encode {
		reply = p.m.encoded(reply)
	}
	p.reply <- reply
	if finished {
		p.finished(call)
	}
}

// room implements answerer. What the daemon asks itself holds nothing for a peer.
func (p *processing) room(*Call) *wire.Error { return nil }

func (p *processing) finished(*Call) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.m.calls--
	p.m.quiet.Broadcast()
}

// encoded returns a reply with its arguments, or the data of its error, encoded.
func (m *CommandMgr) encoded(reply wire.Reply) (encoded wire.Reply) {
	defer func() {
		if v := recover(); v != nil {
			m.logError("a reply cannot be encoded", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			encoded = wire.Failure(errInternal)
		}
	}()
	value := &reply.Arguments
	if reply.Error != nil {
		failure := *reply.Error // the handler's own may belong to the loop
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
