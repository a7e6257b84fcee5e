package mgr

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/rudderpost/rudderpost/transport"
)

// Run opens the transports, runs the loop on the calling goroutine, and drains when ctx ends. The drain accepts no conn and no
// command any more, and finishes and answers what was accepted, for at most Limits.DrainTimeout.
//
// Run returns nil after a complete drain. Otherwise it returns the error of a transport that it could not open, or an error
// with the number of conns that it closed before their commands were answered.
//
// With Options.Loop the caller runs the loop itself, until Done is closed; Run then only waits for the drain.
func (m *CommandMgr) Run(ctx context.Context, transports ...transport.Transport) error {
	result := make(chan error, 1)
	drain := func() {
		drainCtx, cancel := context.WithTimeout(context.Background(), m.limits.Load().DrainTimeout)
		defer cancel()
		result <- m.Shutdown(drainCtx)
	}
	for _, t := range transports {
		if _, err := m.Open(ctx, t); err != nil {
			go drain()
			m.runLoop()
			return errors.Join(err, <-result)
		}
	}
	stop := context.AfterFunc(ctx, drain)
	m.runLoop()
	if stop() { // another goroutine called Shutdown
		return nil
	}
	return <-result
}

// runLoop runs the loop until the drain is complete.
func (m *CommandMgr) runLoop() {
	if m.own != nil {
		_ = m.own.Run(m.background) // returns when Shutdown closes the loop
		return
	}
	<-m.done
}

// Done returns a channel that is closed when the drain is complete. A caller that runs the loop may stop it then.
func (m *CommandMgr) Done() <-chan struct{} { return m.done }

// Shutdown drains the manager: it closes all listeners, reads no more requests, and waits until the accepted commands are
// answered. The loop must run meanwhile. When ctx ends first, Shutdown closes the conns that are left; the error has their
// number and wraps the cause of ctx.
//
// Shutdown may be called several times and from several goroutines; each call waits for the same drain. A handler must not
// call it with its own context, since the drain waits for the handler; Shutdown then returns an error. A handler ends the
// context of Run instead.
func (m *CommandMgr) Shutdown(ctx context.Context) error {
	if call, ok := CallOf(ctx); ok {
		return fmt.Errorf("the command '%s' cannot wait for a drain that waits for it; end the context that Run was given instead", call.Name)
	}
	m.stopReading(errShuttingDown)
	for _, s := range m.openListeners() {
		_ = s.Close()
	}
	stop := context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.progress.Broadcast()
	})
	defer stop()
	var err error
	m.mu.Lock()
	for (len(m.conns) > 0 || m.calls > 0) && ctx.Err() == nil {
		m.progress.Wait()
	}
	if n := len(m.conns); n > 0 || m.calls > 0 {
		err = fmt.Errorf("drain: %d conns were closed before their commands were answered: %w", n, context.Cause(ctx))
	}
	left := slices.Collect(maps.Keys(m.conns))
	m.mu.Unlock()
	closeAll(left)
	m.drained.Do(func() {
		if err == nil {
			m.closePools()
		} else {
			go m.finishDrain()
		}
		m.refusals.Flush()
		close(m.done)
		if m.own != nil {
			m.own.Close()
		}
	})
	return err
}

// closeAll closes conns in parallel: Close of some transports waits for the peer.
func closeAll(conns []*conn) {
	var closing sync.WaitGroup
	for _, c := range conns {
		closing.Go(func() { closeFor(c.conn, errShuttingDown) })
	}
	closing.Wait()
}

// finishDrain waits for the commands that a drain with a timeout has left, and then ends the goroutine pools.
func (m *CommandMgr) finishDrain() {
	m.mu.Lock()
	for len(m.conns) > 0 {
		m.progress.Wait()
	}
	m.mu.Unlock()
	m.closePools()
}

// closePools ends the goroutines of the pools and of the poller, and waits for them.
func (m *CommandMgr) closePools() {
	m.writers.close()
	m.readers.close()
	m.parking.done.Wait()
}

func (m *CommandMgr) openListeners() []*Listener {
	m.mu.Lock()
	defer m.mu.Unlock()
	listeners := make([]*Listener, 0, len(m.listeners))
	for l := range m.listeners {
		listeners = append(listeners, l)
	}
	return listeners
}
