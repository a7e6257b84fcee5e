package front

import (
	"slices"
	"sync"
	"weak"
)

// Waiting is where strangers are who have begun something and not finished it. There is room for so
// many; the oldest gives way to the newest, so that nobody can keep others out by holding places.
type Waiting struct {
	most int

	mu   sync.Mutex
	n    int
	ring Place // between the newest and the oldest
}

// A Place is one of them.
type Place struct {
	w            *Waiting
	giveWay      func()
	older, newer *Place // nil: it has been left
}

// NewWaiting has room for so many at a time.
func NewWaiting(most int) *Waiting {
	w := &Waiting{most: most}
	w.ring.older, w.ring.newer = &w.ring, &w.ring
	all.mu.Lock()
	defer all.mu.Unlock()
	all.waiting = append(all.waiting, weak.Make(w))
	return w
}

// all are the Waitings of the process, as long as something uses them: descriptors are shared by all listeners.
var all struct {
	mu      sync.Mutex
	waiting []weak.Pointer[Waiting]
}

// evictOldest makes the oldest place of the fullest Waiting in the process give way, if there is any. It may be called
// from any goroutine.
func evictOldest() {
	var fullest *Waiting
	var most int
	all.mu.Lock()
	all.waiting = slices.DeleteFunc(all.waiting, func(p weak.Pointer[Waiting]) bool {
		w := p.Value()
		if w == nil {
			return true
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.n > most {
			fullest, most = w, w.n
		}
		return false
	})
	all.mu.Unlock()
	if fullest != nil {
		fullest.evict()
	}
}

// evict makes the oldest place give way.
func (w *Waiting) evict() {
	w.mu.Lock()
	oldest := w.ring.newer
	left := oldest != &w.ring && oldest.leave()
	w.mu.Unlock()
	if left {
		oldest.giveWay()
	}
}

// Place returns a place that can be entered and left again and again. When its time is up giveWay is
// called, in any goroutine.
func (w *Waiting) Place(giveWay func()) *Place { return &Place{w: w, giveWay: giveWay} }

// Enter makes p the newest.
func (p *Place) Enter() {
	w := p.w
	w.mu.Lock()
	p.leave()
	var oldest *Place
	if w.n >= w.most {
		oldest = w.ring.newer
		oldest.leave()
	}
	p.older, p.newer = w.ring.older, &w.ring
	p.older.newer, p.newer.older = p, p
	w.n++
	w.mu.Unlock()
	if oldest != nil {
		oldest.giveWay()
	}
}

// Leave gives the place back, and reports whether it was still there to give.
func (p *Place) Leave() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.leave()
}

func (p *Place) leave() bool {
	if p.older == nil {
		return false
	}
	p.older.newer, p.newer.older = p.newer, p.older
	p.older, p.newer = nil, nil
	p.w.n--
	return true
}

// Clear makes everybody give way.
func (w *Waiting) Clear() {
	for {
		w.mu.Lock()
		p := w.ring.newer
		if p == &w.ring {
			w.mu.Unlock()
			return
		}
		p.leave()
		w.mu.Unlock()
		p.giveWay()
	}
}
