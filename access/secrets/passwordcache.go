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

// The bounds of the passwordCache.
const (
	cacheTime = time.Minute // how long a verified password is not hashed again
	maxCached = 1024        // users
	maxMisses = 16          // wrong passwords that are compared with an entry before it is deleted
)

// A passwordCache has the passwords that were verified within cacheTime, so that a client that sends its password
// with each request, as HTTP clients do, costs one hash a minute. It stores no passwords: an entry is a MAC under a
// random key of this process. The MAC covers the stored hash of the user, so an entry is useless once the user has
// another password or is removed.
//
// A lookup costs no hash, and not every wrong password is counted as a failure: a claim may be refused, or cancelled,
// before it is hashed. So an entry is deleted after maxMisses lookups with a wrong password.
type passwordCache struct {
	key [sha256.Size]byte

	mu     sync.Mutex
	byName map[string]cacheEntry
}

// A digest is a MAC under the key of a passwordCache.
type digest = [sha256.Size]byte

type cacheEntry struct {
	mac    digest
	until  time.Time
	misses int
}

func newPasswordCache() *passwordCache {
	c := &passwordCache{byName: map[string]cacheEntry{}}
	_, _ = rand.Read(c.key[:]) // never fails
	return c
}

// digest returns the MAC of the parts, each preceded by its length.
func (c *passwordCache) digest(parts ...string) (mac digest) {
	h := hmac.New(sha256.New, c.key[:])
	var length [8]byte
	for _, part := range parts {
		_, _ = h.Write(binary.BigEndian.AppendUint64(length[:0], uint64(len(part))))
		_, _ = io.WriteString(h, part)
	}
	h.Sum(mac[:0])
	return mac
}

// has reports whether the password with this MAC was verified within cacheTime.
func (c *passwordCache) has(name string, mac digest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byName[name]
	if subtle.ConstantTimeCompare(e.mac[:], mac[:]) == 1 {
		return time.Now().Before(e.until)
	}
	if e.misses++; e.misses >= maxMisses {
		delete(c.byName, name)
	} else if ok {
		c.byName[name] = e
	}
	return false
}

// add adds a password that was verified, and replaces the user's entry.
func (c *passwordCache) add(name string, mac digest) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byName[name]; !ok && len(c.byName) >= maxCached {
		c.evictLocked(now)
	}
	c.byName[name] = cacheEntry{mac: mac, until: now.Add(cacheTime)}
}

// evictLocked deletes all expired entries, or an arbitrary one if there are none. The caller holds c.mu.
func (c *passwordCache) evictLocked(now time.Time) {
	arbitrary := ""
	for name, e := range c.byName {
		arbitrary = name
		if !now.Before(e.until) {
			delete(c.byName, name)
		}
	}
	if len(c.byName) >= maxCached {
		delete(c.byName, arbitrary)
	}
}
