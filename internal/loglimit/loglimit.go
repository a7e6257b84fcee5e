// Package loglimit limits the log lines that peers can cause, and counts those that were left out.
package loglimit

import (
	"sync"
	"time"
)

// The limits for one second.
const (
	PerKey  = 10  // lines of one key
	Total   = 200 // lines of all keys
	maxKeys = 256 // keys that are counted on their own; the others count as one, Others
)

// Others is the key that Report gets for all keys beyond the first 256 of a second.
const Others = "others"

// A Limiter limits lines by key, such as a principal or an address: ten a second for each key, 200 in all. Its
// memory is bounded. Methods may be called from any goroutine. Set Report before the first call of Allow.
type Limiter struct {
	// Report is called at the end of a second, once for each key of which lines were left out. It may log, and
	// runs on a goroutine of its own, or in Flush.
	Report func(key string, lines int)

	mu     sync.Mutex
	began  time.Time         // of the present second; zero: there was no line
	lines  int               // that were allowed in it
	counts map[string]*count // by key
	timer  *time.Timer       // calls Flush at its end, if a line was left out; nil: none was
}

type count struct{ allowed, omitted int }

// Allow reports whether a line of this key may be written now, and counts it.
func (l *Limiter) Allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.timer == nil && now.Sub(l.began) >= time.Second {
		l.began, l.lines = now, 0
		clear(l.counts)
	}
	c := l.counts[key]
	if c == nil {
		if len(l.counts) >= maxKeys {
			key = Others
		}
		if c = l.counts[key]; c == nil {
			c = new(count)
			if l.counts == nil {
				l.counts = map[string]*count{}
			}
			l.counts[key] = c
		}
	}
	if c.allowed < PerKey && l.lines < Total {
		c.allowed++
		l.lines++
		return true
	}
	c.omitted++
	if l.timer == nil {
		l.timer = time.AfterFunc(time.Second-now.Sub(l.began), l.Flush)
	}
	return false
}

// Flush reports the lines that were left out so far, and begins another second. Call it at the end of the program.
func (l *Limiter) Flush() {
	l.mu.Lock()
	counts := l.counts
	l.counts, l.began, l.lines = nil, time.Time{}, 0
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.mu.Unlock()
	for key, c := range counts {
		if c.omitted > 0 && l.Report != nil {
			l.Report(key, c.omitted)
		}
	}
}
