package pipe

import "time"

// A limit is a read or write deadline. The mutex of its end guards it.
type limit struct {
	over  bool // the deadline has passed
	timer *time.Timer
}

// set moves the deadline to t, and wakes the reads and writes of e when t has come. A zero t means no deadline.
func (l *limit) set(t time.Time, e *End) {
	l.clear()
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		l.over = true
		e.wake()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if l.timer == timer { // the deadline was not moved in the meantime
			l.over = true
			e.wake()
		}
	})
	l.timer = timer
}

func (l *limit) clear() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.over = false
}
