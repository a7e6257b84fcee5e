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

// Run opens all the ways in, runs the loop on the calling goroutine, and, when ctx ends, drains: no
// new conn, no new command; what was accepted is finished and answered, for at most DrainTimeout. It
// returns nil after that, or what could not be opened, or what the drain had to cut off.
//
// With Options.Loop somebody else runs the loop, until Done, and Run only waits.
func (m *CommandMgr) Run(ctx context.Context, transports ...transport.Transport) error {
	result := make(chan error, 1)
	drain := func() {
		patience, cancel := context.WithTimeout(context.Background(), m.limits.Load().DrainTimeout)
		defer cancel()
		result <- m.Shutdown(patience)
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
	if stop() { // somebody else called Shutdown
		return nil
	}
	return <-result
}

// runLoop runs the loop until everything is drained.
func (m *CommandMgr) runLoop() {
	if m.own != nil {
		_ = m.own.Run(m.background) // ends when it is closed
		return
	}
	<-m.done
}

// Done is closed when everything is drained: whoever runs the loop may stop.
func (m *CommandMgr) Done() <-chan struct{} { return m.done }

// Shutdown drains: it closes all listeners, reads no more requests, and waits until what was
// accepted is answered, which needs a loop that runs. When ctx ends first, the conns that are left
// are closed, and the error says how many. A handler must not call it with its own context: it would
// wait for itself. End the context that Run was given instead.
func (m *CommandMgr) Shutdown(ctx context.Context) error {
	if call, ok := CallOf(ctx); ok {
		return fmt.Errorf("the command '%s' cannot wait for a drain that waits for it; end the context that Run was given instead", call.Name)
	}
	m.deafen(errShuttingDown)
	for _, s := range m.openListeners() {
		_ = s.Close()
	}
	stop := context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.quiet.Broadcast()
	})
	defer stop()
	var err error
	m.mu.Lock()
	for (len(m.speaking) > 0 || m.calls > 0) && ctx.Err() == nil {
		m.quiet.Wait()
	}
	if n := len(m.speaking); n > 0 || m.calls > 0 {
		err = fmt.Errorf("drain: %d conns were closed before their commands were answered: %w", n, context.Cause(ctx))
	}
	left := slices.Collect(maps.Keys(m.speaking))
	m.mu.Unlock()
	hangUp(left)
	m.drained.Do(func() {
		if err == nil {
			m.senders.close()
			m.talkers.all.Wait()
		} else {
			go m.sweep()
		}
		m.refusals.Flush()
		close(m.done)
		if m.own != nil {
			m.own.Close()
		}
	})
	return err
}

// hangUp closes conns, all at once: some transports wait for their peers then.
func hangUp(conversations []*conversation) {
	var closing sync.WaitGroup
	for _, c := range conversations {
		closing.Go(func() { closeFor(c.conn, errShuttingDown) })
	}
	closing.Wait()
}

// sweep ends what a drain that was cut off has left, when the last of its commands has returned.
func (m *CommandMgr) sweep() {
	m.mu.Lock()
	for len(m.speaking) > 0 {
		m.quiet.Wait()
	}
	m.mu.Unlock()
	m.senders.close()
	m.talkers.all.Wait()
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
