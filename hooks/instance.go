package hooks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/internal/ratelimit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// An instance is one run of a hook's process, from its start to its end.
//
//	state       fields                              what the process may send
//	starting    registered is open                  log lines, and then introduce or refuse
//	serving     registered is closed                log lines, replies to calls, and calls of its own
//	draining    the same, and draining is set       the same; it gets no new calls
//	ended       isEnded is set, ended is closed     nothing
//
//	from        to          when                                                    test
//	starting    serving     introduce was received                                  TestHookStates
//	starting    ended       refuse, another frame, the end of stdout                TestHookThatCannotBeLoadedIsNamed
//	                        or a timeout                                            TestRegistrationTimesOut
//	serving     draining    shutdown                                                TestShutdownSteps
//	serving     ended       end of the process or of stdout, a frame that the       TestMisbehavingHookDelaysNoOtherCommand
//	                        protocol does not allow, too many late calls
//	draining    ended       the process has ended, or the last step of shutdown     TestShutdownSteps
//	                        kills it
//
// Three goroutines serve an instance: read handles the frames of the process, write sends frames to it, and watch
// waits for its end.
type instance struct {
	hook       *processHook
	proc       osProcess
	stream     *transport.Stream
	out        chan []byte // frames for write; unbuffered, so that the daemon queues nothing for a process that does not read
	started    time.Time
	goroutines sync.WaitGroup

	registration registration  // set before registered is closed
	registered   chan struct{} // closed when introduce was received
	err          error         // the cause of the end; set before ended is closed
	ended        chan struct{} // closed at the end

	lineLimit  limiter // of log lines that are logged, and of refused callbacks; mu guards it
	floodLimit limiter // of all log lines; used by read only
	lostLines  int     // log lines above lineLimit that were not logged yet; used by read only

	mu        sync.Mutex
	isEnded   bool          // err is set
	draining  bool          // shutdown was called: no new calls
	idle      chan struct{} // closed when no call is left while draining
	calls     map[int64]*pendingCall
	lastID    int64 // of the calls
	late      int   // calls in calls that have timed out
	callbacks int   // callbacks that run
	refusals  int   // replies to refused callbacks that are not sent
}

// The bounds of one instance.
const (
	maxCalls     = 64          // calls at a time
	maxCallbacks = 16          // callbacks at a time, and refusals that are not sent
	maxLate      = 3           // calls that have timed out; with so many the instance is ended
	maxKept      = 64 << 10    // bytes of the largest buffer that is used again for the next frame
	maxLine      = 1024        // bytes of a line in the log
	exitDelay    = time.Second // the longest time between the end of stdout and the end of the process
)

// A limiter is a token bucket with its rate.
type limiter struct {
	rate, burst float64
	bucket      ratelimit.Bucket
}

// take takes a token and returns 0, or returns how long the next one takes.
func (l *limiter) take() (wait time.Duration) { return l.bucket.Take(time.Now(), l.rate, l.burst) }

// newInstance serves a process that has just been started.
func newInstance(h *processHook, proc osProcess) *instance {
	i := &instance{
		hook: h, proc: proc, out: make(chan []byte), started: time.Now(),
		stream:     transport.NewStream(proc, transport.StreamConfig{MaxFrame: h.cfg.MaxOutput, Idle: -1, FrameTimeout: -1}),
		registered: make(chan struct{}), ended: make(chan struct{}), idle: make(chan struct{}),
		calls:      map[int64]*pendingCall{},
		lineLimit:  limiter{rate: 50, burst: 200},
		floodLimit: limiter{rate: 500, burst: 2000},
	}
	i.goroutines.Go(i.read)
	i.goroutines.Go(i.write)
	i.goroutines.Go(i.watch)
	return i
}

// register sends hello, and blocks until the process has sent introduce.
func (i *instance) register(ctx context.Context) error {
	frame, err := encode(helloFrame{hello{protocolVersion, i.hook.cfg.Name, i.hook.cfg.Parameters}})
	if err != nil {
		return err
	}
	timedOut := func() error { return fmt.Errorf("it has not introduced itself: %w", context.Cause(ctx)) }
	select {
	case i.out <- frame:
	case <-i.ended:
		return i.err
	case <-ctx.Done():
		return timedOut()
	}
	select {
	case <-i.registered:
		return nil
	case <-i.ended:
		return i.err
	case <-ctx.Done():
		return timedOut()
	}
}

func (i *instance) age() time.Duration { return time.Since(i.started) }

// read handles the frames of the process, until one is not allowed or stdout ends.
func (i *instance) read() {
	var buf []byte
	for {
		frame, err := i.stream.Receive(context.Background(), buf[:0])
		if err != nil {
			i.end(i.readError(err))
			return
		}
		if err := i.handle(frame); err != nil {
			i.end(err)
			return
		}
		if buf = frame; cap(buf) > maxKept {
			buf = nil
		}
	}
}

// handle handles one frame. An error ends the instance.
func (i *instance) handle(frame []byte) error {
	m, err := decode(frame)
	if err != nil {
		return err
	}
	if m.Log != nil {
		return i.logLine(*m.Log, m.Text)
	}
	first := !i.isRegistered()
	switch {
	case first && m.Introduce != nil:
		i.registration = *m.Introduce
		close(i.registered)
		return nil
	case first && m.Refuse != nil:
		return errors.New("it refuses: " + wire.Shorten(*m.Refuse))
	case first:
		return errors.New("it said something else before it introduced itself")
	case m.ID != nil:
		return i.complete(*m.ID, m)
	case m.Call != nil:
		return i.callBack(m)
	}
	return errors.New("it introduced itself, or refused, for a second time")
}

func (i *instance) isRegistered() bool {
	select {
	case <-i.registered:
		return true
	default:
		return false
	}
}

// readError returns the cause of the end after an error of Receive. It waits up to exitDelay for the end of the
// process, since the exit status says more than the end of stdout.
func (i *instance) readError(err error) error {
	if e, ok := errors.AsType[*transport.FrameError](err); ok && e.Reason != transport.CutOff {
		return fmt.Errorf("it wrote what is no frame to stdout, which is for nothing else: %w", err)
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("its stdout cannot be read: %w", err)
	}
	select {
	case <-i.proc.Exited():
		return errors.New(i.proc.HowItEnded())
	case <-i.ended:
	case <-time.After(exitDelay):
	}
	return errors.New("it closed its stdout")
}

// watch ends the instance when the process has ended, also if another process has its stdout open.
func (i *instance) watch() {
	select {
	case <-i.ended:
		return
	case <-i.proc.Exited():
	}
	select {
	case <-i.ended:
	case <-time.After(exitDelay):
		i.end(errors.New(i.proc.HowItEnded()))
	}
}

// write writes frames to the process. While the process does not read, write takes no other frame.
func (i *instance) write() {
	for {
		select {
		case frame := <-i.out:
			if err := i.stream.Send(context.Background(), frame); err != nil {
				i.handleWriteError(err)
				return
			}
		case <-i.ended:
			return
		}
	}
}

// handleWriteError ends the instance after an error of Send. It first waits up to exitDelay for another end, since the
// process has mostly ended, and its exit status says more.
func (i *instance) handleWriteError(err error) {
	i.mu.Lock()
	draining := i.draining
	i.mu.Unlock()
	if draining {
		return
	}
	select {
	case <-i.ended:
	case <-time.After(exitDelay):
		i.end(fmt.Errorf("it does not read its stdin any more: %w", err))
	}
}

// end ends the instance, once: its calls get an error, and the processes of its group are killed. err is the cause.
func (i *instance) end(err error) {
	i.mu.Lock()
	if i.isEnded {
		i.mu.Unlock()
		return
	}
	i.isEnded, i.err = true, err
	for _, p := range i.calls {
		i.removeCallLocked(p)
		p.resolveLocked(wire.Reply{}, wire.Errorf(wire.CodeShuttingDown, "hook-down", "the hook '%s' ended while it ran '%s': %v", i.hook.cfg.Name, p.command, err))
	}
	i.mu.Unlock()
	close(i.ended)
	i.proc.Kill()
	_ = i.stream.Close()
}

// wait blocks until the process and all goroutines of the instance have ended.
func (i *instance) wait() {
	<-i.ended
	i.proc.AwaitEnd()
	i.goroutines.Wait()
}

// shutdown ends the process in steps, each with a timeout: it waits for the replies to running calls, closes stdin,
// sends SIGTERM, and kills the process. When forced ends, it goes to the last step at once. It blocks until the
// instance has ended.
func (i *instance) shutdown(forced context.Context) {
	i.mu.Lock()
	i.draining = true
	i.checkIdleLocked()
	i.mu.Unlock()
	i.waitFor(forced, i.hook.stopTimeout, i.idle)
	i.proc.CloseInput()
	i.waitFor(forced, i.hook.stopTimeout, i.ended)
	i.proc.Terminate()
	i.waitFor(forced, min(i.hook.stopTimeout, 2*time.Second), i.ended)
	i.end(errStopped)
	i.wait()
}

var errStopped = errors.New("it is stopped")

// waitFor blocks until done is closed, the instance has ended, the timeout has passed, or forced has ended.
func (i *instance) waitFor(forced context.Context, timeout time.Duration, done <-chan struct{}) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-i.ended:
	case <-timer.C:
	case <-forced.Done():
	}
}

// checkIdleLocked closes idle if the instance is draining and has no calls. The caller holds mu.
func (i *instance) checkIdleLocked() {
	if !i.draining || len(i.calls) > 0 {
		return
	}
	select {
	case <-i.idle:
	default:
		close(i.idle)
	}
}

// goTrackedLocked runs f on a new goroutine, for which wait waits. The caller holds mu, and the instance has not ended.
func (i *instance) goTrackedLocked(f func()) { i.goroutines.Go(f) }

// send blocks until write takes the frame, or the instance has ended.
func (i *instance) send(frame []byte) {
	select {
	case i.out <- frame:
	case <-i.ended:
	}
}

// A pendingCall is a call that the process has not replied to.
//
//	resolved  late   meaning
//	no        no     the caller waits
//	yes       no     the caller does not wait any more; the process was told, and may still reply
//	yes       yes    the call has timed out, and its caller has the error; the process may still reply
type pendingCall struct {
	id      int64
	command string
	ctx     context.Context // the call's, for callbacks
	timer   *time.Timer     // fires after Config.Timeout
	done    chan callResult // gets one result, if the caller still waits

	// instance.mu guards these.
	resolved bool // the caller has its result, or does not wait any more
	late     bool // the call has timed out
}

type callResult struct {
	reply wire.Reply
	err   error
}

// resolveLocked gives the caller its result, unless it has one or does not wait. The caller holds instance.mu.
func (p *pendingCall) resolveLocked(reply wire.Reply, err error) {
	if !p.resolved {
		p.resolved = true
		p.done <- callResult{reply, err}
	}
}

// call runs a command in the process, and blocks until it has replied, it has timed out, or ctx ends.
func (i *instance) call(ctx context.Context, command string, call *mgr.Call) (wire.Reply, error) {
	p, err := i.addCall(ctx, command)
	if err != nil {
		return wire.Reply{}, err
	}
	frame, err := encode(requestFrame{p.id, command, call.Arguments, callerOf(call), i.hook.cfg.Timeout.Seconds()})
	if err != nil {
		i.drop(p)
		return wire.Reply{}, err
	}
	select {
	case i.out <- frame:
	case <-ctx.Done():
		i.drop(p)
		return wire.Reply{}, context.Cause(ctx)
	case r := <-p.done:
		i.end(fmt.Errorf("it has not read its stdin for %s", i.hook.cfg.Timeout)) // no effect if the instance has ended before
		return r.reply, r.err
	}
	select {
	case r := <-p.done:
		return r.reply, r.err
	case <-ctx.Done():
		i.abandon(p)
		return wire.Reply{}, context.Cause(ctx)
	}
}

// addCall adds a call with a new id, and starts its timer.
func (i *instance) addCall(ctx context.Context, command string) (*pendingCall, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.isEnded || i.draining:
		return nil, hookDown("the hook '%s' has just ended", i.hook.cfg.Name)
	case len(i.calls) >= maxCalls:
		return nil, wire.Errorf(wire.CodeTooMany, "", "the hook '%s' has %d calls, as many as it may; try again later", i.hook.cfg.Name, maxCalls)
	}
	i.lastID++
	p := &pendingCall{id: i.lastID, command: command, ctx: ctx, done: make(chan callResult, 1)}
	p.timer = time.AfterFunc(i.hook.cfg.Timeout, func() { i.expire(p) })
	i.calls[p.id] = p
	return p, nil
}

// removeCallLocked removes a call that the process has replied to, or that it will not reply to. The caller holds mu.
func (i *instance) removeCallLocked(p *pendingCall) {
	p.timer.Stop()
	delete(i.calls, p.id)
	if p.late {
		i.late--
	}
	i.checkIdleLocked()
}

// complete handles the reply of the process to a call.
func (i *instance) complete(id int64, m *message) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	p, ok := i.calls[id]
	if !ok {
		return fmt.Errorf("it answered the call %d, which it does not have", id)
	}
	i.removeCallLocked(p)
	reply, err := m.reply()
	if err != nil {
		err = badReply(i.hook.cfg.Name, err.Error())
	}
	p.resolveLocked(reply, err)
	return nil
}

// abandon is called when the caller does not wait any more. It sends cancel to the process, which may still reply.
func (i *instance) abandon(p *pendingCall) {
	i.mu.Lock()
	defer i.mu.Unlock()
	p.resolved = true
	if i.isEnded || i.calls[p.id] != p {
		return
	}
	i.cancelLocked(p)
}

// drop removes a call whose request was not sent.
func (i *instance) drop(p *pendingCall) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.calls[p.id] == p {
		i.removeCallLocked(p)
	}
}

// cancelLocked sends cancel to the process, on another goroutine. The caller holds mu, and the instance has not ended.
func (i *instance) cancelLocked(p *pendingCall) {
	frame, _ := encode(cancelFrame{p.id}) // cannot fail for a number
	i.goTrackedLocked(func() { i.send(frame) })
}

// expire is called when a call has timed out. It ends the instance if maxLate calls have timed out without a reply.
func (i *instance) expire(p *pendingCall) {
	i.mu.Lock()
	if i.isEnded || i.calls[p.id] != p {
		i.mu.Unlock()
		return
	}
	p.late = true
	i.late++
	tooMany := i.late >= maxLate
	if !p.resolved {
		p.resolveLocked(wire.Reply{}, wire.Errorf(wire.CodeTimeout, "", "the hook '%s' took longer than %s for '%s'", i.hook.cfg.Name, i.hook.cfg.Timeout, p.command))
		i.cancelLocked(p)
	}
	i.mu.Unlock()
	if tooMany {
		i.end(fmt.Errorf("it has %d calls that took longer than %s", maxLate, i.hook.cfg.Timeout))
	}
}

// callBack runs a command for the process, with the rights of the caller of a call that the process has. The process
// has no rights of its own.
func (i *instance) callBack(m *message) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.isEnded {
		return nil
	}
	p := i.calls[m.For]
	switch {
	case p == nil || p.resolved:
		return i.refuseLocked(m, wire.Errorf(wire.CodeForbidden, "", "there is no call %d that anybody waits for, and a hook has no rights but its caller's", m.For))
	case i.callbacks >= maxCallbacks:
		return i.refuseLocked(m, wire.Errorf(wire.CodeTooMany, "", "the hook has %d calls under way, as many as it may; wait for a reply", maxCallbacks))
	}
	i.callbacks++
	i.goTrackedLocked(func() {
		reply, err := i.hook.manager.ProcessEncoded(p.ctx, wire.Request{Command: m.Command, Arguments: m.Arguments})
		if err != nil {
			reply = wire.Failure(&wire.Error{Code: wire.CodeCancelled, Text: err.Error()})
		}
		i.send(encodeCallbackReply(m, reply))
		i.mu.Lock()
		i.callbacks--
		i.mu.Unlock()
	})
	return nil
}

// refuseLocked sends an error reply to a callback. It returns an error if there are too many of them. The caller
// holds mu.
func (i *instance) refuseLocked(m *message, rerr *wire.Error) error {
	if i.refusals >= maxCallbacks || i.lineLimit.take() > 0 {
		return errors.New("it floods the daemon with calls that are refused")
	}
	frame := encodeCallbackReply(m, wire.Failure(rerr))
	i.refusals++
	i.goTrackedLocked(func() {
		i.send(frame)
		i.mu.Lock()
		i.refusals--
		i.mu.Unlock()
	})
	return nil
}

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

// logLine logs a line of the process. Lines above lineLimit are only counted. It returns an error for a level that
// does not exist, and for lines above floodLimit.
func (i *instance) logLine(level, text string) error {
	at, ok := logLevels[level]
	if !ok {
		return errors.New("it wrote a log line without a level that there is: debug, info, warn or error")
	}
	if i.floodLimit.take() > 0 {
		return errors.New("it floods the log")
	}
	i.mu.Lock()
	wait := i.lineLimit.take()
	i.mu.Unlock()
	if wait > 0 {
		i.lostLines++
		return nil
	}
	if i.lostLines > 0 {
		i.hook.log.Warn("a hook logged more lines than it may; lines are lost", "lines", i.lostLines)
		i.lostLines = 0
	}
	i.hook.log.Log(context.Background(), at, "a hook says", "line", truncate(text))
	return nil
}

func truncate(text string) string {
	if len(text) > maxLine {
		return text[:maxLine] + "…"
	}
	return text
}
