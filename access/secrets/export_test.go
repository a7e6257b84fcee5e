package secrets

import (
	"crypto/sha256"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// Limits, for tests that go to them.
const (
	MaxSize      = maxSize
	MaxQueued    = maxQueued
	MaxAddresses = maxAddresses
	MaxWaiting   = maxWaiting
	MaxRecent    = maxRecent
	MaxMisses    = maxMisses
)

// FakeHashes makes a hash take that long and cost nothing, until the test ends. It returns how many
// have been made, and how many at a time.
func FakeHashes(t testing.TB, takes time.Duration) (made, most *atomic.Int64) {
	earnest := derive
	t.Cleanup(func() { derive = earnest })
	made, most = new(atomic.Int64), new(atomic.Int64)
	var now atomic.Int64
	derive = func(password, salt []byte, _, _ uint32, _ uint8, length uint32) []byte {
		made.Add(1)
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		time.Sleep(takes)
		sum := sha256.Sum256(append(append([]byte{}, password...), salt...))
		return append(sum[:], make([]byte, length)...)[:length]
	}
	return made, most
}

// Origin is what a client counts as when it guesses.
func Origin(from net.Addr) netip.Addr { return sourceAddr(from) }

// Remembered is how many addresses and how many right passwords are remembered.
func (a *Authenticator) Remembered() (addresses, recent int) {
	return len(a.throttle.records), len(a.recent.byName)
}

// RewriteUsers and RewriteTokens read the text of a file and write every record of it anew.
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
