package secrets

import (
	"net/netip"
	"slices"
	"time"
)

// An addressRecord counts the failed claims of one client address. throttle.mu guards it.
//
// admit says whether a claim may be verified, must wait, or is refused. That depends on the state of the address. The
// state is not stored; it follows from failures, pauses and until:
//
//	state      means                                        claims that are verified at a time
//	open       fewer than maxFailures in failureWindow      as many as may fail before the fifth failure
//	paused     until is in the future                       those that the pause does not apply to, see admit
//	probation  the last pause ended within failureWindow    1
//
//	transition           when
//	open → paused        the claim fails that is the fifth within failureWindow; the pause is firstPause
//	paused → paused      a claim fails that the pause did not apply to; the pause starts again, doubled
//	paused → probation   the pause is over
//	probation → paused   a claim fails; the pause is doubled, up to maxPause
//	probation → open     no claim failed for failureWindow after the pause
//
// The tests of the transitions are TestGuesserIsPausedUpToAMinute and TestFailureDuringAPauseStartsTheNextPause.
//
// A claim that succeeds changes no state. Otherwise a guesser that has an account of its own, or shares the
// address with an honest user, could guess without a pause.
type addressRecord struct {
	addr      netip.Addr
	failures  [maxFailures]time.Time // the times of the last failures; zero: none
	next      int                    // the index of the oldest of them, which the next failure overwrites
	pauses    int                    // the number of pauses in a row; 0: open
	until     time.Time              // the end of the last pause
	verifying int                    // claims that are being verified, apart from those in names

	names []nameRecord
	wrong []wrongSecret // the first is the least recently used one

	waiting     int           // claims that wait
	resultKnown chan struct{} // closed when the next claim has its result; nil: no claim waits
}

// A nameRecord counts the claims of one user, or of one token, from one address.
type nameRecord struct {
	name       digest
	secret     digest    // the right secret, if verifiedAt is set
	verifiedAt time.Time // the last success; zero: none within nameMemory
	failures   int
	failedAt   time.Time // the last failure
	misses     int       // wrong secrets that were compared with secret during a pause
	missedAt   time.Time
	verifying  int // claims that are being verified though the address is paused
}

// A wrongSecret is the digest of a secret that failed. A client that repeats the secret learns nothing, so the
// repetition is neither verified nor counted. An unattended client with an old password therefore does not pause its
// address.
type wrongSecret struct {
	secret digest
	usedAt time.Time
}

// An admission is the result of admit.
type admission int

const (
	refused       admission = iota
	wait                    // until another claim of the address has its result
	admitAddress            // it may be verified, and counts in addressRecord.verifying
	admitName               // it may be verified, and counts in nameRecord.verifying
	admitVerified           // its secret is right: the same secret was verified within nameMemory
)

// admit decides about a claim. A pause does not apply to a name that failed fewer than nameFailures times,
// if the name was verified here recently or fewer than maxNames other names failed. So a guesser delays
// only the name that it tries; and a guesser that tries many names gains few guesses.
//
// During a pause a claim of any other name is compared with the secret that was verified last at this address. Such a
// guess costs no hash, so the number of wrong ones (misses) is limited too.
func (r *addressRecord) admit(a attempt, now time.Time) admission {
	if !now.Before(r.until) {
		if r.verifying < r.capacity() {
			return admitAddress
		}
		return wait
	}
	n := r.name(a.name)
	switch {
	case n == nil && r.unverified() < maxNames:
		return admitName
	case n == nil:
		return refused
	case n.failures+n.verifying < nameFailures:
		return admitName
	case n.failures < nameFailures:
		return wait
	case n.verifiedAt.IsZero() || n.misses >= nameMisses:
		return refused
	case n.secret == a.secret:
		return admitVerified
	}
	n.misses++
	n.missedAt = now
	return refused
}

// capacity returns the number of claims that may be verified at a time, such that all of them may fail.
func (r *addressRecord) capacity() int {
	if r.pauses > 0 {
		return 1
	}
	capacity := maxFailures
	for _, at := range r.failures {
		if !at.IsZero() {
			capacity--
		}
	}
	return max(capacity, 1)
}

// permit counts a claim that is going to be verified.
func (r *addressRecord) permit(a attempt, byName bool) *permit {
	if byName {
		r.makeName(a.name).verifying++
	} else {
		r.verifying++
	}
	return &permit{record: r, attempt: a, byName: byName}
}

// release undoes permit.
func (r *addressRecord) release(p *permit) {
	if !p.byName {
		r.verifying--
		return
	}
	r.name(p.name).verifying--
	r.names = slices.DeleteFunc(r.names, nameRecord.isEmpty)
}

// fail counts a failed claim for its address and its name, and remembers its secret as wrong.
func (r *addressRecord) fail(a attempt, now time.Time) {
	r.expire(now)
	if r.failedBefore(a.secret, now) { // another claim with the same secret failed meanwhile
		return
	}
	r.failures[r.next] = now
	r.next = (r.next + 1) % maxFailures
	if r.pauses > 0 || !r.failures[r.next].IsZero() {
		r.until = now.Add(min(firstPause<<r.pauses, maxPause))
		r.pauses = min(r.pauses+1, 10)
	}
	if r.name(a.name) != nil || r.unverified() < maxNames {
		n := r.makeName(a.name)
		n.failures++
		n.failedAt = now
	}
	if len(r.wrong) == maxWrong {
		r.wrong = slices.Delete(r.wrong, 0, 1)
	}
	r.wrong = append(r.wrong, wrongSecret{a.secret, now})
}

// verified records that a secret was right. maxVerified names with a success are remembered. A new one replaces the
// least recently verified one that has no failures, misses or running verifications.
func (r *addressRecord) verified(a attempt, now time.Time) {
	n := r.name(a.name)
	if n == nil || n.verifiedAt.IsZero() {
		if !r.evictVerified() {
			return
		}
		n = r.makeName(a.name)
	}
	n.secret, n.verifiedAt = a.secret, now
}

// evictVerified deletes a verified name if there are too many, and reports whether another one can be added.
func (r *addressRecord) evictVerified() bool {
	verified, oldest := 0, -1
	for i, n := range r.names {
		if n.verifiedAt.IsZero() {
			continue
		}
		verified++
		if n.failures == 0 && n.misses == 0 && n.verifying == 0 && (oldest < 0 || n.verifiedAt.Before(r.names[oldest].verifiedAt)) {
			oldest = i
		}
	}
	switch {
	case verified < maxVerified && len(r.names) < maxNames+maxVerified:
		return true
	case oldest < 0:
		return false
	}
	r.names = slices.Delete(r.names, oldest, oldest+1)
	return true
}

// failedBefore reports whether the same secret failed within nameMemory.
func (r *addressRecord) failedBefore(secret digest, now time.Time) bool {
	i := slices.IndexFunc(r.wrong, func(w wrongSecret) bool { return w.secret == secret })
	if i < 0 {
		return false
	}
	r.wrong = append(slices.Delete(r.wrong, i, i+1), wrongSecret{secret, now})
	return true
}

// name returns the record of a name, or nil.
func (r *addressRecord) name(name digest) *nameRecord {
	for i := range r.names {
		if r.names[i].name == name {
			return &r.names[i]
		}
	}
	return nil
}

// makeName returns the record of a name. The pointer is valid until the next name is added or deleted.
func (r *addressRecord) makeName(name digest) *nameRecord {
	if n := r.name(name); n != nil {
		return n
	}
	r.names = append(r.names, nameRecord{name: name})
	return &r.names[len(r.names)-1]
}

// unverified returns how many names failed, or are being verified, and have no recent success.
func (r *addressRecord) unverified() (count int) {
	for i := range r.names {
		if r.names[i].verifiedAt.IsZero() {
			count++
		}
	}
	return count
}

// expire deletes what is older than its time limit.
func (r *addressRecord) expire(now time.Time) {
	if r.pauses > 0 && now.Sub(r.until) >= failureWindow {
		r.pauses = 0
	}
	for i, at := range r.failures {
		if now.Sub(at) >= failureWindow {
			r.failures[i] = time.Time{}
		}
	}
	for i := range r.names {
		r.names[i].expire(now)
	}
	r.names = slices.DeleteFunc(r.names, nameRecord.isEmpty)
	r.wrong = slices.DeleteFunc(r.wrong, func(w wrongSecret) bool { return now.Sub(w.usedAt) >= nameMemory })
}

// isEmpty reports whether the record equals a new one.
func (r *addressRecord) isEmpty() bool {
	return r.verifying == 0 && r.waiting == 0 && r.pauses == 0 && len(r.names) == 0 && len(r.wrong) == 0 &&
		r.failures == [maxFailures]time.Time{}
}

func (n *nameRecord) expire(now time.Time) {
	if n.failures > 0 && now.Sub(n.failedAt) >= nameMemory {
		n.failures = 0
	}
	if n.misses > 0 && now.Sub(n.missedAt) >= nameMemory {
		n.misses = 0
	}
	if !n.verifiedAt.IsZero() && now.Sub(n.verifiedAt) >= nameMemory {
		n.secret, n.verifiedAt = digest{}, time.Time{}
	}
}

func (n nameRecord) isEmpty() bool {
	return n.failures == 0 && n.misses == 0 && n.verifying == 0 && n.verifiedAt.IsZero()
}
