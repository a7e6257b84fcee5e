package secrets

import (
	"crypto/sha256"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// The limits that tests reach.
const (
	MaxSize      = maxSize
	MaxQueued    = maxQueued
	MaxAddresses = maxAddresses
	MaxWaiting   = maxWaiting
	MaxCached    = maxCached
	MaxMisses    = maxMisses
)

// FakeHashes replaces argon2id by a cheap hash that sleeps, until the test ends. It returns the number of hashes that
// were computed, and the highest number at a time.
func FakeHashes(t testing.TB, takes time.Duration) (made, peak *atomic.Int64) {
	original := derive
	t.Cleanup(func() { derive = original })
	made, peak = new(atomic.Int64), new(atomic.Int64)
	var now atomic.Int64
	derive = func(password, salt []byte, _, _ uint32, _ uint8, length uint32) []byte {
		made.Add(1)
		if n := now.Add(1); n > peak.Load() {
			peak.Store(n)
		}
		defer now.Add(-1)
		time.Sleep(takes)
		sum := sha256.Sum256(append(append([]byte{}, password...), salt...))
		return append(sum[:], make([]byte, length)...)[:length]
	}
	return made, peak
}

// Origin returns the address for which the failures of a client are counted.
func Origin(from net.Addr) netip.Addr { return sourceAddr(from) }

// Remembered returns the number of address records and of cached passwords.
func (a *Authenticator) Remembered() (addresses, cached int) {
	return len(a.throttle.records), len(a.cache.byName)
}

// RewriteUsers and RewriteTokens parse the text of a file, and write every record of it again.
func RewriteUsers(text string) (as, again string, err error) { return rewrite(userFormat, text) }

func RewriteTokens(text string) (as, again string, err error) { return rewrite(tokenFormat, text) }

func rewrite[R record](f format[R], text string) (as, again string, err error) {
	l, err := f.read(text)
	if err != nil {
		return "", "", err
	}
	as = l.text()
	for _, r := range l.records() {
		l.put(r)
	}
	return as, l.text(), nil
}

// Misses returns how many wrong secrets were compared with verified ones during pauses.
func (a *Authenticator) Misses() (misses int) {
	if a.throttle == nil {
		return 0
	}
	for _, e := range a.throttle.records {
		for _, n := range e.Value.(*addressRecord).names {
			misses += n.misses
		}
	}
	return misses
}

// RecordSize returns how many names and how many wrong secrets the record of an address holds.
func (a *Authenticator) RecordSize(ip string) (names, wrong int) {
	e, ok := a.throttle.records[netip.MustParseAddr(ip)]
	if !ok {
		return 0, 0
	}
	r := e.Value.(*addressRecord)
	return len(r.names), len(r.wrong)
}
