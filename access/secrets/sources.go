package secrets

import (
	"container/list"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// What one source of claims may do.
const (
	maxFailures = 5           // within failuresIn, before it must wait
	failuresIn  = time.Minute // also how long it must be good to be forgotten
	firstPause  = time.Second // then twice as long each time
	longest     = time.Minute
	maxQueued   = 256 // claims that wait for the verdict on others from there: as many as a proxy may have

	maxSources = 4096
)

// origin returns what a client is taken for when it guesses: its IPv4 address, the 64 bits of an
// IPv6 network, which one client may have all of, or the zero Addr.
func origin(from net.Addr) netip.Addr {
	if from == nil {
		return netip.Addr{}
	}
	port, err := netip.ParseAddrPort(from.String())
	addr := port.Addr()
	if err != nil {
		if addr, err = netip.ParseAddr(from.String()); err != nil {
			return netip.Addr{}
		}
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		network, _ := addr.Prefix(64) // it has as many
		addr = network.Addr()
	}
	return addr
}

// sources remember who was wrong.
type sources struct {
	mu    sync.Mutex
	known map[netip.Addr]*list.Element
	order list.List // of *source; the one that was longest silent first
}

func newSources() *sources { return &sources{known: map[netip.Addr]*list.Element{}} }

// A source is where claims come from. sources.mu guards it.
type source struct {
	addr     netip.Addr
	failures [maxFailures]time.Time // the last ones; zero: none
	next     int                    // where the next one goes, on the oldest one's place
	pauses   int                    // how many in a row
	until    time.Time              // when the last of them ends
	deciding int                    // claims that are being verified
	queued   int
	decided  chan struct{} // closed when one of those has been; nil: nobody waits
}

// enter waits until a claim from a place may be looked at: never more of them at a time than may be
// wrong. Who enters must leave. A claim that is then seen to be right, with the lock, needs not enter;
// for that one, enter returns nil.
func (s *sources) enter(ctx context.Context, addr netip.Addr, isRight func() bool) (*source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.find(addr)
	defer s.settle(from)
	for {
		now := time.Now()
		from.forget(now)
		switch {
		case now.Before(from.until):
			return nil, &transport.SlowDownError{After: from.until.Sub(now)}
		case from.deciding < from.room():
			if isRight() {
				return nil, nil
			}
			from.deciding++
			return from, nil
		case from.queued >= maxQueued:
			return nil, &transport.SlowDownError{After: firstPause}
		}
		if err := s.wait(ctx, from); err != nil {
			return nil, err
		}
	}
}

// wait waits for the next verdict on another claim from there, without the lock.
func (s *sources) wait(ctx context.Context, from *source) error {
	if from.decided == nil {
		from.decided = make(chan struct{})
	}
	decided := from.decided
	from.queued++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		from.queued--
	}()
	select {
	case <-decided:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave tells whether the claim was wrong.
func (s *sources) leave(from *source, wrong bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from.deciding--
	if wrong {
		from.fail(time.Now())
	}
	if from.decided != nil {
		close(from.decided)
		from.decided = nil
	}
	s.settle(from)
}

// judge takes a verdict that nobody had to wait for, and returns what the place may know of it: nothing,
// while it must wait.
func (s *sources) judge(addr netip.Addr, verdict error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, now := s.find(addr), time.Now()
	defer s.settle(from)
	from.forget(now)
	switch {
	case now.Before(from.until):
		return &transport.SlowDownError{After: from.until.Sub(now)}
	case errors.Is(verdict, errExpired): // and so no guess
		return transport.ErrWrongCredentials
	case verdict != nil:
		from.fail(now)
	}
	return verdict
}

// find returns the source that is a place, which is now the one that was last heard of.
func (s *sources) find(addr netip.Addr) *source {
	if e, ok := s.known[addr]; ok {
		s.order.MoveToBack(e)
		return e.Value.(*source)
	}
	if len(s.known) >= maxSources {
		oldest := s.order.Front()
		delete(s.known, oldest.Value.(*source).addr)
		s.order.Remove(oldest)
	}
	from := &source{addr: addr}
	s.known[addr] = s.order.PushBack(from)
	return from
}

// settle forgets a source that there is nothing to know about.
func (s *sources) settle(from *source) {
	e := s.known[from.addr]
	if e != nil && e.Value == from && from.deciding == 0 && from.queued == 0 && from.pauses == 0 && from.failures == [maxFailures]time.Time{} {
		delete(s.known, from.addr)
		s.order.Remove(e)
	}
}

// fail notes that a claim was wrong.
func (f *source) fail(now time.Time) {
	f.forget(now)
	f.failures[f.next] = now
	f.next = (f.next + 1) % maxFailures
	if f.pauses == 0 && f.failures[f.next].IsZero() {
		return // not as many within a minute
	}
	f.until = now.Add(min(firstPause<<f.pauses, longest))
	f.pauses = min(f.pauses+1, 10)
}

// forget forgets what is too long ago.
func (f *source) forget(now time.Time) {
	if f.pauses > 0 && now.Sub(f.until) >= failuresIn {
		f.pauses = 0
	}
	for i, at := range f.failures {
		if now.Sub(at) >= failuresIn {
			f.failures[i] = time.Time{}
		}
	}
}

// room returns how many claims may be looked at together, such that all of them may be wrong.
func (f *source) room() int {
	if f.pauses > 0 {
		return 1
	}
	room := maxFailures
	for _, at := range f.failures {
		if !at.IsZero() {
			room--
		}
	}
	return max(room, 1)
}
