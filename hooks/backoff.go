package hooks

import (
	"math/rand/v2"
	"time"
)

const (
	firstPause = 100 * time.Millisecond
	longPause  = time.Minute
	breakAfter = 5           // failures in a row, and only one try a minute is made
	wellAfter  = time.Minute // a life as long as this ends the row
)

// backOff is how long to wait after so many failures in a row, at most. It takes up to a quarter off, so
// that hooks that fail together do not come again together.
func backOff(failures int) time.Duration {
	pause := longPause
	if failures < breakAfter {
		pause = firstPause << (failures - 1)
	}
	return pause - rand.N(pause/4) //nolint:gosec // nobody gains by guessing it
}

// A quota is how much somebody may do: so many things at once, and so many in each second after that.
type quota struct {
	burst, rate float64
	used        float64
	at          time.Time
}

// take takes one of them. Where there is none it says how long that takes.
func (q *quota) take() (wait time.Duration) {
	now := time.Now()
	q.used = max(0, q.used-q.rate*now.Sub(q.at).Seconds())
	q.at = now
	if q.used+1 > q.burst {
		return time.Duration((q.used + 1 - q.burst) / q.rate * float64(time.Second))
	}
	q.used++
	return 0
}
