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

// The limits of one client address.
const (
	maxFailures   = 5               // failed claims within failureWindow; the fifth starts the first pause
	firstPause    = time.Second     // each failed claim after that doubles the pause,
	maxPause      = time.Minute     // up to this
	failureWindow = 5 * time.Minute // also the time without a failure after which the pauses are forgotten

	maxNames     = 4         // names without a recent success that are counted on their own
	maxVerified  = 8         // names with a recent success
	nameFailures = 3         // failed claims of one name, before a pause of its address applies to the name
	nameMisses   = 4         // wrong secrets compared with a verified one during pauses
	nameMemory   = time.Hour // how long a failure, a success or a miss of a name is remembered
	maxWrong     = 16        // wrong secrets that are remembered
	maxQueued    = 256       // claims that wait for the result of another claim; a proxy may send as many
)

// maxAddresses is the number of address records. A record has at most about 3 KiB.
const maxAddresses = 4096

// sourceAddr returns the address that the failures of a client are counted for: its IPv4 address, the first
// 64 bits of its IPv6 address (one client may own the whole network), or the zero Addr for a client that
// has no IP address.
func sourceAddr(from net.Addr) netip.Addr {
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
		network, _ := addr.Prefix(64) // every IPv6 address has 64 bits
		addr = network.Addr()
	}
	return addr
}

// An attempt is one claim. Its digests are made with a random key (passwordCache), so that the throttle stores neither
// names nor secrets.
type attempt struct {
	addr   netip.Addr
	name   digest // of the user's name or the token's id
	secret digest // of the name, the stored hash and the secret
}

// A loginThrottle limits the failed claims of each client address; addressRecord has the states of an address. Its
// methods may be called concurrently.
type loginThrottle struct {
	mu      sync.Mutex
	records map[netip.Addr]*list.Element
	order   list.List // of *addressRecord; the first is the least recently used one
}

func newLoginThrottle() *loginThrottle {
	return &loginThrottle{records: map[netip.Addr]*list.Element{}}
}

// A permit is the permission to verify one claim. Its holder must pass it to release.
type permit struct {
	record *addressRecord
	attempt
	byName bool // counted in the nameRecord, not in the addressRecord
}

// acquire blocks until the claim may be verified. It returns a permit; or nil and no error, when the secret was
// verified recently and need not be verified again; or an error: ErrWrongCredentials when the same secret failed
// before, *SlowDownError, or the cause of ctx. It calls isRight with the lock held, and only where it would otherwise
// return a permit.
func (t *loginThrottle) acquire(ctx context.Context, a attempt, isRight func() bool) (*permit, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.recordLocked(a.addr)
	defer t.deleteEmptyLocked(r)
	for {
		now := time.Now()
		r.expire(now)
		if r.failedBefore(a.secret, now) {
			return nil, transport.ErrWrongCredentials
		}
		switch admission := r.admit(a, now); {
		case admission == refused:
			return nil, &transport.SlowDownError{After: r.until.Sub(now)}
		case admission == admitVerified, admission != wait && isRight():
			r.verified(a, now)
			return nil, nil
		case admission != wait:
			return r.permit(a, admission == admitName), nil
		case r.waiting >= maxQueued:
			return nil, &transport.SlowDownError{After: firstPause}
		}
		if err := t.waitLocked(ctx, r); err != nil {
			return nil, err
		}
	}
}

// waitLocked blocks until another claim of the same address has its result, or ctx ends. The caller holds t.mu;
// waitLocked unlocks it while it blocks.
func (t *loginThrottle) waitLocked(ctx context.Context, r *addressRecord) error {
	if r.resultKnown == nil {
		r.resultKnown = make(chan struct{})
	}
	resultKnown := r.resultKnown
	r.waiting++
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		r.waiting--
	}()
	select {
	case <-resultKnown:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// release returns a permit with the result of the verification: nil, or ErrWrongCredentials. Any other error means that
// the claim was not verified.
func (t *loginThrottle) release(p *permit, result error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, now := p.record, time.Now()
	r.release(p)
	switch {
	case result == nil:
		r.verified(p.attempt, now)
	case errors.Is(result, transport.ErrWrongCredentials):
		r.fail(p.attempt, now)
	}
	if r.resultKnown != nil {
		close(r.resultKnown)
		r.resultKnown = nil
	}
	t.deleteEmptyLocked(r)
}

// check applies the limits to a claim that was verified without a permit. It returns the error for the client:
// result, or a *SlowDownError. It does not block.
func (t *loginThrottle) check(a attempt, result error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, now := t.recordLocked(a.addr), time.Now()
	defer t.deleteEmptyLocked(r)
	r.expire(now)
	expired := errors.Is(result, errExpired)
	switch {
	case result != nil && !expired && r.failedBefore(a.secret, now):
	case r.admit(a, now) == refused:
		return &transport.SlowDownError{After: r.until.Sub(now)}
	case expired: // the secret was right, so the claim was no guess
		return transport.ErrWrongCredentials
	case result != nil:
		r.fail(a, now)
	default:
		r.verified(a, now)
	}
	return result
}

// recordLocked returns the record of an address, and makes it the most recently used one. If there are maxAddresses,
// a new record replaces the least recently used one. The caller holds t.mu.
func (t *loginThrottle) recordLocked(addr netip.Addr) *addressRecord {
	if e, ok := t.records[addr]; ok {
		t.order.MoveToBack(e)
		return e.Value.(*addressRecord)
	}
	if len(t.records) >= maxAddresses {
		oldest := t.order.Front()
		delete(t.records, oldest.Value.(*addressRecord).addr)
		t.order.Remove(oldest)
	}
	r := &addressRecord{addr: addr}
	t.records[addr] = t.order.PushBack(r)
	return r
}

// deleteEmptyLocked deletes a record without content. The caller holds t.mu.
func (t *loginThrottle) deleteEmptyLocked(r *addressRecord) {
	if e := t.records[r.addr]; e != nil && e.Value == r && r.isEmpty() {
		delete(t.records, r.addr)
		t.order.Remove(e)
	}
}
