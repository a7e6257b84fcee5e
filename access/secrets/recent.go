package secrets

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"io"
	"sync"
	"time"
)

// How long a password that was right need not be hashed again, for how many users at most, and until
// how many others were compared with it.
const (
	recentFor = time.Minute
	maxRecent = 1024
	maxMisses = 16
)

// recent knows which passwords were right a moment ago, so that a client that sends one with every
// request, as HTTP's do, pays for one hash a minute. It has neither passwords nor anything of use
// outside this process: of each it keeps a MAC under a key that was made at random. The hash that the
// password was compared with is part of what the MAC is of, so another password, or the user's
// removal, leaves nothing behind that could match.
//
// To ask costs no hash, and not every answer is counted as a failure: a claim may be turned away, or
// leave, before its hash is made. So what is asked for wrongly too often is forgotten.
type recent struct {
	key [sha256.Size]byte

	mu     sync.Mutex
	byName map[string]proven // the last one of each user
}

// A digest is a MAC that recent made.
type digest = [sha256.Size]byte

type proven struct {
	mac    digest
	until  time.Time
	misses int
}

func newRecent() *recent {
	r := &recent{byName: map[string]proven{}}
	_, _ = rand.Read(r.key[:]) // never fails
	return r
}

// digest returns a MAC over the parts, each with its length.
func (r *recent) digest(parts ...string) (mac digest) {
	h := hmac.New(sha256.New, r.key[:])
	var length [8]byte
	for _, part := range parts {
		_, _ = h.Write(binary.BigEndian.AppendUint64(length[:0], uint64(len(part))))
		_, _ = io.WriteString(h, part)
	}
	h.Sum(mac[:0])
	return mac
}

// has reports whether that was right a moment ago.
func (r *recent) has(name string, mac digest) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, known := r.byName[name]
	if subtle.ConstantTimeCompare(p.mac[:], mac[:]) == 1 {
		return time.Now().Before(p.until)
	}
	if p.misses++; p.misses >= maxMisses {
		delete(r.byName, name)
	} else if known {
		r.byName[name] = p
	}
	return false
}

// add remembers that it was right.
func (r *recent) add(name string, mac digest) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.byName[name]; !known && len(r.byName) >= maxRecent {
		r.makeRoom(now)
	}
	r.byName[name] = proven{mac: mac, until: now.Add(recentFor)}
}

// makeRoom forgets all that have had their time, or else any one.
func (r *recent) makeRoom(now time.Time) {
	one := ""
	for name, p := range r.byName {
		one = name
		if !now.Before(p.until) {
			delete(r.byName, name)
		}
	}
	if len(r.byName) >= maxRecent {
		delete(r.byName, one)
	}
}
