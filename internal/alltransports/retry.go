package alltransports

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// handshakeLimit is how long each transport lets a handshake take, on both sides.
const handshakeLimit = 5 * time.Second

// maxAttempts is how often Retry calls its function, and minLate how late the process's timers must have been meanwhile.
const (
	maxAttempts = 5
	minLate     = time.Second
)

// A Lag measures how late the process runs on a machine that is overloaded: the time by which a timer of 10 ms fires late,
// in sum. Its methods may be called by any goroutine.
type Lag struct{ late atomic.Int64 }

// MeasureLag starts a Lag. Its goroutine ends with the test, or when the test calls stop.
func MeasureLag(t testing.TB) (l *Lag, stop func()) {
	l = &Lag{}
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		const tick = 10 * time.Millisecond
		for {
			start := time.Now()
			select {
			case <-time.After(tick):
				l.late.Add(int64(time.Since(start) - tick))
			case <-ended:
				return
			}
		}
	})
	stop = sync.OnceFunc(func() {
		close(ended)
		running.Wait()
	})
	t.Cleanup(stop)
	return l, stop
}

// A Mark is a moment, and how late the process was until then.
type Mark struct {
	at   time.Time
	late time.Duration
}

// Mark returns the present moment.
func (l *Lag) Mark() Mark { return l.mark(time.Now()) }

func (l *Lag) mark(now time.Time) Mark { return Mark{now, time.Duration(l.late.Load())} }

// Explains reports whether the machine's load explains that a handshake timed out that began at m or later: handshakeLimit
// is over, and the process was late for minLate of the time. So a listener that loses a handshake is found wherever there
// is processor time to do it.
func (l *Lag) Explains(m Mark) bool { return l.mark(time.Now()).since(m) }

// since reports what Explains does, at the moment m.
func (m Mark) since(before Mark) bool {
	return m.at.Sub(before.at) >= handshakeLimit && m.late-before.late >= minLate
}

// Retry calls dial until it returns nil, or an error that the machine's load does not explain, maxAttempts times at most.
// It returns what dial returned last.
func (l *Lag) Retry(dial func() error) error { return l.retry(time.Now, dial) }

func (l *Lag) retry(now func() time.Time, dial func() error) (err error) {
	for range maxAttempts {
		start := l.mark(now())
		if err = dial(); err == nil || !l.mark(now()).since(start) {
			return err
		}
	}
	return err
}
