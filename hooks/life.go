package hooks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// A life is a process from its start to its end, and what is said with it.
type life struct {
	c      *child
	proc   process
	stream *transport.Stream
	out    chan []byte // what is to be written; nobody is ahead of the process
	born   time.Time
	intro  introduction  // once introduced
	known  chan struct{} // closed when it has introduced itself
	ended  chan struct{} // closed at the end
	err    error         // why; once ended
	all    sync.WaitGroup
	lines  quota // log lines and refused calls
	flood  quota // log lines, also those that are lost
	lost   int   // log lines that were too many

	mu      sync.Mutex
	over    bool // err is set
	leaving bool // no more calls
	quiet   chan struct{}
	calls   map[int64]*pending
	next    int64
	overdue int // of the calls
	backs   int // calls back that run
	owed    int // and refused ones that have not been told
}

const (
	maxCalls   = 64 // of one process at a time
	maxBacks   = 16
	maxOverdue = 3
)

// live makes a life of a process that has just been started.
func live(c *child, proc process) *life {
	l := &life{
		c: c, proc: proc, out: make(chan []byte), born: time.Now(),
		stream: transport.NewStream(proc, transport.StreamConfig{MaxFrame: c.cfg.MaxOutput, Idle: -1, FrameTimeout: -1}),
		known:  make(chan struct{}), ended: make(chan struct{}), quiet: make(chan struct{}),
		calls: map[int64]*pending{},
		lines: quota{burst: 200, rate: 50},
		flood: quota{burst: 2000, rate: 500},
	}
	l.all.Go(l.read)
	l.all.Go(l.write)
	l.all.Go(l.watch)
	return l
}

// greet says hello, and waits for the introduction.
func (l *life) greet(ctx context.Context) error {
	frame, err := encode(greeting{hello{protocolVersion, l.c.cfg.Name, l.c.cfg.Parameters}})
	if err != nil {
		return err
	}
	silent := func() error { return fmt.Errorf("it has not introduced itself: %w", context.Cause(ctx)) }
	select {
	case l.out <- frame:
	case <-l.ended:
		return l.err
	case <-ctx.Done():
		return silent()
	}
	select {
	case <-l.known:
		return nil
	case <-l.ended:
		return l.err
	case <-ctx.Done():
		return silent()
	}
}

func (l *life) age() time.Duration { return time.Since(l.born) }

// read hears what the process says, until it does what it must not or says no more.
func (l *life) read() {
	var buf []byte
	for {
		frame, err := l.stream.Receive(context.Background(), buf[:0])
		if err != nil {
			l.end(l.why(err))
			return
		}
		if err := l.hear(frame); err != nil {
			l.end(err)
			return
		}
		if buf = frame; cap(buf) > maxKept {
			buf = nil
		}
	}
}

// maxKept is the largest buffer that is kept for the next frame.
const maxKept = 64 << 10

// hear takes one frame.
func (l *life) hear(frame []byte) error {
	s, err := decode(frame)
	if err != nil {
		return err
	}
	if s.Log != nil {
		return l.logLine(*s.Log, s.Text)
	}
	first := l.isFirst()
	switch {
	case first && s.Introduce != nil:
		l.intro = *s.Introduce
		close(l.known)
		return nil
	case first && s.Refuse != nil:
		return errors.New("it refuses: " + wire.Shorten(*s.Refuse))
	case first:
		return errors.New("it said something else before it introduced itself")
	case s.ID != nil:
		return l.settle(*s.ID, s)
	case s.Call != nil:
		return l.callBack(s)
	}
	return errors.New("it introduced itself, or refused, for a second time")
}

func (l *life) isFirst() bool {
	select {
	case <-l.known:
		return false
	default:
		return true
	}
}

// why says why nothing more can be heard.
func (l *life) why(err error) error {
	if bad, ok := errors.AsType[*transport.FrameError](err); ok && bad.Reason != transport.CutOff {
		return fmt.Errorf("it wrote what is no frame to stdout, which is for nothing else: %w", err)
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("it cannot be heard: %w", err)
	}
	select {
	case <-l.proc.Exited():
		return errors.New(l.proc.HowItEnded())
	case <-l.ended:
	case <-time.After(aMoment):
	}
	return errors.New("it closed its stdout")
}

// aMoment is how long the two signs of an end may be apart.
const aMoment = time.Second

// watch notices when the process ends, though others that it has started hold its stdout.
func (l *life) watch() {
	select {
	case <-l.ended:
		return
	case <-l.proc.Exited():
	}
	select {
	case <-l.ended:
	case <-time.After(aMoment):
		l.end(errors.New(l.proc.HowItEnded()))
	}
}

// write writes what is to be said. While the process does not read, nothing is taken.
func (l *life) write() {
	for {
		select {
		case frame := <-l.out:
			if err := l.stream.Send(context.Background(), frame); err != nil {
				l.mute(err)
				return
			}
		case <-l.ended:
			return
		}
	}
}

// mute notes that the process does not read any more. Mostly it is about to end, which says more.
func (l *life) mute(err error) {
	l.mu.Lock()
	leaving := l.leaving
	l.mu.Unlock()
	if leaving {
		return
	}
	select {
	case <-l.ended:
	case <-time.After(aMoment):
		l.end(fmt.Errorf("it does not read its stdin any more: %w", err))
	}
}

// end ends the life: its calls are answered, its process and whatever is in the group of that are killed.
func (l *life) end(err error) {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return
	}
	l.over, l.err = true, err
	for id, p := range l.calls {
		l.forget(id, p)
		p.deliver(wire.Reply{}, wire.Errorf(wire.CodeShuttingDown, "hook-down", "the hook '%s' ended while it ran '%s': %v", l.c.cfg.Name, p.command, err))
	}
	l.mu.Unlock()
	close(l.ended)
	l.proc.Kill()
	_ = l.stream.Close()
}

// wait waits until nothing is left of the life.
func (l *life) wait() {
	<-l.ended
	l.proc.AwaitEnd()
	l.all.Wait()
}

// aside runs f on a goroutine of its own that wait waits for. l.mu is held, and the life is not over.
func (l *life) aside(f func()) { l.all.Go(f) }

// say hands a frame to the process, or gives up with the life.
func (l *life) say(frame []byte) {
	select {
	case l.out <- frame:
	case <-l.ended:
	}
}

// call runs one command in the process.
func (l *life) call(ctx context.Context, command string, call *mgr.Call) (wire.Reply, error) {
	p, err := l.enter(ctx, command)
	if err != nil {
		return wire.Reply{}, err
	}
	frame, err := encode(request{p.id, command, call.Arguments, callerOf(call), l.c.cfg.Timeout.Seconds()})
	if err != nil {
		l.drop(p)
		return wire.Reply{}, err
	}
	select {
	case l.out <- frame:
	case <-ctx.Done():
		l.drop(p)
		return wire.Reply{}, context.Cause(ctx)
	case o := <-p.done:
		l.end(fmt.Errorf("it has not read its stdin for %s", l.c.cfg.Timeout)) // unless that is why
		return o.reply, o.err
	}
	select {
	case o := <-p.done:
		return o.reply, o.err
	case <-ctx.Done():
		l.abandon(p)
		return wire.Reply{}, context.Cause(ctx)
	}
}
