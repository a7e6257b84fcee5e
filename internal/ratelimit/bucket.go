// Package ratelimit has the token bucket that limits how often a peer or a hook library may do a thing.
package ratelimit

import "time"

// A Bucket is a token bucket. Each event takes one token; tokens come back at a constant rate, up to a burst. The zero
// Bucket is full. The caller serializes its calls. Rate and burst are arguments, so that they may change between calls.
type Bucket struct {
	tokens float64
	filled time.Time // when tokens was computed
}

// Full returns a full Bucket whose last call of Take was at now.
func Full(now time.Time, burst float64) Bucket { return Bucket{tokens: burst, filled: now} }

// Take takes a token and returns 0, or takes none and returns how long the next one takes. rate is in tokens per second
// and above 0; burst is the most tokens that the bucket holds, and at least 1.
func (b *Bucket) Take(now time.Time, rate, burst float64) (wait time.Duration) {
	b.tokens = min(burst, b.tokens+rate*now.Sub(b.filled).Seconds())
	b.filled = now
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) / rate * float64(time.Second))
	}
	b.tokens--
	return 0
}

// SinceTake returns how much time has passed since the last call of Take, or since Full.
func (b *Bucket) SinceTake(now time.Time) time.Duration { return now.Sub(b.filled) }
