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
	maxWrong     = 16        // secrets that are known to be wrong
	maxQueued    = 256       // claims that wait for the verdict on another claim: as many as a proxy may send
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

// An attempt is one claim as the throttle sees it. The digests are made with a random key (passwordCache):
// the throttle holds neither names nor secrets.
type attempt struct {
	addr   netip.Addr
	name   digest // of the user's name or the token's id
	secret digest // of the name, the stored hash and the secret
}

// throttle limits the failed claims of each client address. All methods may be called from any goroutine.
type throttle struct {
	mu      sync.Mutex
	records map[netip.Addr]*list.Element
	order   list.List // of *addressRecord, the least recently used first
}

func newThrottle() *throttle { return &throttle{records: map[netip.Addr]*list.Element{}} }

// A ticket is the permission to verify one claim. The holder must pass it to leave.
type ticket struct {
	record *addressRecord
	attempt
	own bool // counted in the name's record, not in the address's
}

// enter waits until the claim may be verified. It returns a ticket; or no ticket and nil, when the secret was
// verified a short time ago and needs no verification; or no ticket and an error: ErrWrongCredentials when
// the same secret was wrong before, *SlowDownError, or the cause of ctx. enter calls isRight with the lock
// held, and only when it would return a ticket otherwise.
func (t *throttle) enter(ctx context.Context, a attempt, isRight func() bool) (*ticket, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.record(a.addr)
	defer t.drop(r)
	for {
		now := time.Now()
		r.expire(now)
		if r.isKnownWrong(a.secret, now) {
			return nil, transport.ErrWrongCredentials
		}
		switch admission := r.admit(a, now); {
		case admission == refused:
			return nil, &transport.SlowDownError{After: r.until.Sub(now)}
		case admission == admitVerified, admission != wait && isRight():
			r.verified(a, now)
			return nil, nil
		case admission != wait:
			return r.ticket(a, admission == admitName), nil
		case r.queued >= maxQueued:
			return nil, &transport.SlowDownError{After: firstPause}
		}
		if err := t.wait(ctx, r); err != nil {
			return nil, err
		}
	}
}

// wait releases the lock and waits for the next verdict on another claim of the same address.
func (t *throttle) wait(ctx context.Context, r *addressRecord) error {
	if r.decided == nil {
		r.decided = make(chan struct{})
	}
	decided := r.decided
	r.queued++
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		r.queued--
	}()
	select {
	case <-decided:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave returns a ticket with the verdict: nil, ErrWrongCredentials, or another error, which is no verdict.
func (t *throttle) leave(k *ticket, verdict error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, now := k.record, time.Now()
	r.release(k)
	switch {
	case verdict == nil:
		r.verified(k.attempt, now)
	case errors.Is(verdict, transport.ErrWrongCredentials):
		r.fail(k.attempt, now)
	}
	if r.decided != nil {
		close(r.decided)
		r.decided = nil
	}
	t.drop(r)
}

// check applies the limits to a claim that was verified without waiting. It returns what the client is told:
// the verdict, or a *SlowDownError.
func (t *throttle) check(a attempt, verdict error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, now := t.record(a.addr), time.Now()
	defer t.drop(r)
	r.expire(now)
	expired := errors.Is(verdict, errExpired)
	switch {
	case verdict != nil && !expired && r.isKnownWrong(a.secret, now):
	case r.admit(a, now) == refused:
		return &transport.SlowDownError{After: r.until.Sub(now)}
	case expired: // the secret was right, so the claim was no guess
		return transport.ErrWrongCredentials
	case verdict != nil:
		r.fail(a, now)
	default:
		r.verified(a, now)
	}
	return verdict
}

// record returns the record of an address, and makes it the most recently used one. A new record takes the
// place of the least recently used one when there are maxAddresses.
func (t *throttle) record(addr netip.Addr) *addressRecord {
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

// drop deletes a record that holds nothing.
func (t *throttle) drop(r *addressRecord) {
	if e := t.records[r.addr]; e != nil && e.Value == r && r.isEmpty() {
		delete(t.records, r.addr)
		t.order.Remove(e)
	}
}
