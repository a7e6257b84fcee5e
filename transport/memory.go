package transport

import (
	"context"
	"sync"
	"sync/atomic"
)

// Memory counts the bytes of incomplete frames that a daemon holds for its peers. The command manager implements it and
// passes it to Listen with WithMemory. A transport opens an account for each conn, or for each connection under several
// conns, and reserves the bytes that it is going to allocate for received data. The memory that each connection needs
// whatever its peer sends is not reserved: it is part of the amount per conn in PROTOCOL.md. All methods may be called
// from any goroutine.
type Memory interface {
	// OpenAccount opens an account of a peer. Nothing is booked in it.
	OpenAccount(peer Peer) MemoryAccount
}

// A MemoryAccount is the number of bytes that one conn or connection of a peer has reserved. Its methods do not block.
type MemoryAccount interface {
	// Reserve books n bytes more, before they are allocated. When they do not fit into a limit it books
	// nothing, and the error is a *FrameError with the reason OverBudget, which names the limit.
	Reserve(n int) error

	// ReserveWindow is Reserve for what a connection may need before its peer sends anything, such as a receive window. It
	// counts against the limit of all peers and against the share of the peer, but not against the small share of a peer
	// that may run no command: the daemon tells such a peer too why it is refused.
	ReserveWindow(n int) error

	// Release returns n of the bytes that were booked.
	Release(n int)

	// Close returns all bytes that are booked. After it Reserve books nothing and returns nil.
	Close()
}

type memoryKey struct{}

// WithMemory returns a context for Listen that passes m to the transport, also through a Transport that
// wraps it.
func WithMemory(ctx context.Context, m Memory) context.Context {
	return context.WithValue(ctx, memoryKey{}, m)
}

// MemoryOf returns what WithMemory put into the context of Listen. Without it the result is nil: the transport
// then books nothing.
func MemoryOf(ctx context.Context) Memory {
	m, _ := ctx.Value(memoryKey{}).(Memory)
	return m
}

// A MemoryUse is the number of bytes that one conn holds. It opens an account with the first byte, so that a conn
// that never waits within a frame has none, and an idle conn keeps four words. Set is for one goroutine at a time;
// Close may be called from any goroutine, at any time.
type MemoryUse struct {
	memory Memory
	peer   *Peer
	use    atomic.Pointer[memoryUse] // nil: nothing has been booked; closedUse: Close came first
}

// A memoryUse is the part of a MemoryUse that exists from the first byte on.
type memoryUse struct {
	booked int // only Set touches it

	mu      sync.Mutex
	account MemoryAccount
	closed  bool
}

// closedUse stands in each MemoryUse that was closed before its first byte.
var closedUse = &memoryUse{closed: true}

// Init sets where the conn books, and the peer for which it books. With a nil Memory nothing is booked.
func (u *MemoryUse) Init(m Memory, peer *Peer) { u.memory, u.peer = m, peer }

// Booked returns the number of bytes that Set has booked last.
func (u *MemoryUse) Booked() int {
	if use := u.use.Load(); use != nil {
		return use.booked
	}
	return 0
}

// Set books n bytes in all, instead of the number that was booked before. To lower the number always succeeds. The
// error is that of Reserve, and the number that was booked before stays.
func (u *MemoryUse) Set(n int) error {
	if u.memory == nil || n == u.Booked() {
		return nil
	}
	use := u.use.Load()
	if use == nil {
		use = new(memoryUse)
		if !u.use.CompareAndSwap(nil, use) {
			return nil // closed
		}
	}
	return u.change(use, n)
}

func (u *MemoryUse) change(use *memoryUse, n int) error {
	use.mu.Lock()
	defer use.mu.Unlock()
	if use.closed {
		return nil
	}
	if use.account == nil {
		use.account = u.memory.OpenAccount(*u.peer)
	}
	if n < use.booked {
		use.account.Release(use.booked - n)
	} else if err := use.account.Reserve(n - use.booked); err != nil {
		return err
	}
	use.booked = n
	return nil
}

// Close returns all bytes that are booked. Set books nothing after it.
func (u *MemoryUse) Close() {
	if u.use.CompareAndSwap(nil, closedUse) {
		return
	}
	use := u.use.Load()
	if use == closedUse {
		return
	}
	use.mu.Lock()
	defer use.mu.Unlock()
	use.closed = true
	if use.account != nil {
		use.account.Close()
		use.account = nil
	}
}
