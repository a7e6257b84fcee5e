package hooks

import (
	"context"
	"fmt"
	"time"

	"github.com/rudderpost/rudderpost/wire"
)

// A pending is a call that the process has, until it has answered, whoever still waits for that.
type pending struct {
	id      int64
	command string
	ctx     context.Context // the call's, for calls back
	timer   *time.Timer
	done    chan outcome

	// life.mu guards these.
	settled bool // nobody waits for the answer any more
	late    bool // it has taken longer than it may
}

type outcome struct {
	reply wire.Reply
	err   error
}

// deliver tells whoever waits, once. life.mu is held.
func (p *pending) deliver(reply wire.Reply, err error) {
	if !p.settled {
		p.settled = true
		p.done <- outcome{reply, err}
	}
}

// enter makes a call one that the process has.
func (l *life) enter(ctx context.Context, command string) (*pending, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over || l.leaving:
		return nil, down("the hook '%s' has just ended", l.c.cfg.Name)
	case len(l.calls) >= maxCalls:
		return nil, wire.Errorf(wire.CodeTooMany, "", "the hook '%s' has %d calls, as many as it may; try again later", l.c.cfg.Name, maxCalls)
	}
	l.next++
	p := &pending{id: l.next, command: command, ctx: ctx, done: make(chan outcome, 1)}
	p.timer = time.AfterFunc(l.c.cfg.Timeout, func() { l.expire(p) })
	l.calls[p.id] = p
	return p, nil
}

// forget makes it one that the process does not have any more. l.mu is held.
func (l *life) forget(id int64, p *pending) {
	p.timer.Stop()
	delete(l.calls, id)
	if p.late {
		l.overdue--
	}
	l.checkQuiet()
}

// settle takes the process's answer to a call.
func (l *life) settle(id int64, s *said) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.calls[id]
	if !ok {
		return fmt.Errorf("it answered the call %d, which it does not have", id)
	}
	l.forget(id, p)
	reply, err := s.reply()
	if err != nil {
		err = badReply(l.c.cfg.Name, err.Error())
	}
	p.deliver(reply, err)
	return nil
}

// abandon is for a caller that does not wait any more. The process is told, and may take its time.
func (l *life) abandon(p *pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.settled = true
	if l.over || l.calls[p.id] != p {
		return
	}
	l.cancel(p)
}

// drop is abandon for a call that the process has not been told of.
func (l *life) drop(p *pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls[p.id] == p {
		l.forget(p.id, p)
	}
}

// cancel tells the process that nobody waits. l.mu is held, and the life is not over.
func (l *life) cancel(p *pending) {
	frame, _ := encode(cancellation{p.id}) // a number
	l.aside(func() { l.say(frame) })
}

// expire is for a call that takes too long. A process that does not read, or has three of them, is killed.
func (l *life) expire(p *pending) {
	l.mu.Lock()
	if l.over || l.calls[p.id] != p {
		l.mu.Unlock()
		return
	}
	p.late = true
	l.overdue++
	last := l.overdue >= maxOverdue
	if !p.settled {
		p.deliver(wire.Reply{}, wire.Errorf(wire.CodeTimeout, "", "the hook '%s' took longer than %s for '%s'", l.c.cfg.Name, l.c.cfg.Timeout, p.command))
		l.cancel(p)
	}
	l.mu.Unlock()
	if last {
		l.end(fmt.Errorf("it has %d calls that took longer than %s", maxOverdue, l.c.cfg.Timeout))
	}
}
