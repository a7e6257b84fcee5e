package netfd

import (
	"context"
	"os"
	"sync"
	"syscall"
)

// Poller waits for many idle Conns with one goroutine and one epoll set, so that an idle conn needs no stack: 10 000 of
// them have 3 KiB of memory each, and not 5.7. It exists on Linux only. All methods may be called from any goroutine.
//
// A registration has two states:
//
//	state   event                          next state  effect
//	free    Add                            parked      the descriptor is armed for one event
//	parked  bytes or a hang-up             free        wake is called
//	parked  Wake, Conn.WakeParked          free        wake is called
//	parked  Add finds the conn closed      free        Add returns false
//	parked  the end of Run                 free        wake is called
//	free    an event for its last Conn     free        none
//
// An event may be that of the Conn that had the registration before. Then wake is called too early, which does no harm:
// the goroutine that it starts finds nothing to read.
type Poller struct {
	set *os.File // the epoll set; the runtime can wait for it
	raw syscall.RawConn

	mu            sync.Mutex // guards the fields below, and Conn.slot
	registrations []registration
	free          []int // the indexes of free registrations
}

// A registration is a Conn that is parked, and the function that wakes it. A zero registration is free.
type registration struct {
	conn *Conn
	wake func()
}

// NewPoller returns a Poller. The caller must call Run. The error is errors.ErrUnsupported elsewhere than on Linux; the
// process may also have no descriptor left.
func NewPoller() (*Poller, error) {
	set, err := newSet()
	if err != nil {
		return nil, err
	}
	raw, err := set.SyscallConn()
	if err != nil {
		_ = set.Close()
		return nil, err
	}
	return &Poller{set: set, raw: raw}, nil
}

// Run polls until ctx ends, and then wakes all Conns. It is called once, and blocks until then.
func (p *Poller) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, p.end)()
	_ = p.raw.Read(p.wakeReady)
	p.end()
}

// Add registers c and returns true, or returns false when c has no descriptor that can be polled or is closed, or Run
// has ended. wake is called exactly once when Add returns true: on bytes or a hang-up, also those that came before, on
// Wake, on Close of the owner, or when Run ends. Until then no goroutine may read from c. wake must not block.
func (p *Poller) Add(c *Conn, wake func()) bool {
	if c.raw == nil {
		return false
	}
	// A Close that runs before the next line finds no Poller to wake c in. So openOrWoken checks closed once more.
	c.poller.Store(p)
	return p.register(c, wake) && p.openOrWoken(c)
}

// Wake removes c and calls its wake function, if c is registered in p.
func (p *Poller) Wake(c *Conn) {
	if c.poller.Load() != p {
		return
	}
	if wake := p.Remove(c); wake != nil {
		wake()
	}
}

// Remove removes c without waking it, and returns its wake function. The result is nil when c is not registered in p;
// wake has been called then, or is being called.
func (p *Poller) Remove(c *Conn) (wake func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.slot >= len(p.registrations) || p.registrations[c.slot].conn != c {
		return nil
	}
	return p.freeLocked(c.slot)
}

// openOrWoken reports whether c, which was registered, is open, or its Close has called wake.
func (p *Poller) openOrWoken(c *Conn) bool {
	return !c.closed.Load() || p.Remove(c) == nil
}

// register gives c a registration and arms its descriptor. Both happen under one lock: between the two, an event of the
// previous Conn of the registration could free it otherwise, and the descriptor would be armed for a free registration.
func (p *Poller) register(c *Conn, wake func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	slot := p.takeLocked(c, wake)
	var armErr error
	err := c.raw.Control(func(fd uintptr) { armErr = p.arm(int(fd), slot) })
	if err != nil || armErr != nil {
		p.freeLocked(slot)
		return false
	}
	return true
}

// takeLocked gives c a registration and returns its index.
func (p *Poller) takeLocked(c *Conn, wake func()) (slot int) {
	if n := len(p.free); n > 0 {
		slot, p.free = p.free[n-1], p.free[:n-1]
	} else {
		slot = len(p.registrations)
		p.registrations = append(p.registrations, registration{})
	}
	p.registrations[slot] = registration{c, wake}
	c.slot = slot
	return slot
}

// freeLocked frees a registration and returns its wake function.
func (p *Poller) freeLocked(slot int) (wake func()) {
	wake = p.registrations[slot].wake
	p.registrations[slot] = registration{}
	p.free = append(p.free, slot)
	return wake
}

// wakeSlot wakes the Conn that has a registration. The event may be that of the previous Conn, see Poller.
func (p *Poller) wakeSlot(slot int) {
	p.mu.Lock()
	var wake func()
	if p.registrations[slot].conn != nil {
		wake = p.freeLocked(slot)
	}
	p.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// end wakes all Conns. It closes the set first: after that Add is refused, and all Conns that were added before are in
// the list.
func (p *Poller) end() {
	_ = p.set.Close()
	p.mu.Lock()
	n := len(p.registrations)
	p.mu.Unlock()
	for slot := range n {
		p.wakeSlot(slot)
	}
}
