package accept

import (
	"slices"
	"sync"
	"weak"
)

// An EvictingQueue bounds the connections that have not finished something yet: TLS handshakes here, and HTTP
// connections without a request in package httpauth. When the queue is full, the newest connection evicts the oldest
// one. So one client cannot keep others out by many idle connections. All methods may be called from any goroutine.
type EvictingQueue struct {
	limit int

	mu  sync.Mutex
	len int
	end Slot // of the ring: end.newer is the oldest slot, end.older the newest
}

// A Slot is one connection in an EvictingQueue. Its states:
//
//	from     to       when                                            evict is called
//	outside  queued   Enter; the slot is the newest one               no
//	queued   queued   Enter; the slot becomes the newest one          no
//	queued   outside  Leave                                           no
//	queued   outside  Enter of another slot, when the queue is full   yes, for the oldest slot
//	queued   outside  EvictAll, evictOldest                           yes
type Slot struct {
	queue        *EvictingQueue
	evict        func()
	older, newer *Slot // neighbours in the ring; nil: the slot is outside
}

// A SlotState tells whether a Slot is in its queue.
type SlotState uint8

// The states of a Slot.
const (
	Outside SlotState = iota
	Queued
)

// NewEvictingQueue returns a queue for at most limit slots. limit must be above 0.
func NewEvictingQueue(limit int) *EvictingQueue {
	q := &EvictingQueue{limit: limit}
	q.end.older, q.end.newer = &q.end, &q.end
	allQueues.mu.Lock()
	defer allQueues.mu.Unlock()
	allQueues.queues = append(allQueues.queues, weak.Make(q))
	return q
}

// allQueues has the queues of all listeners of the process, because all listeners share its descriptors. The pointers
// are weak, so that a queue can be collected when its listener is closed.
var allQueues struct {
	mu     sync.Mutex
	queues []weak.Pointer[EvictingQueue]
}

// evictOldest evicts the oldest slot of the longest queue in the process, if any queue has a slot. It may be called
// from any goroutine.
func evictOldest() {
	var longest *EvictingQueue
	var length int
	allQueues.mu.Lock()
	allQueues.queues = slices.DeleteFunc(allQueues.queues, func(p weak.Pointer[EvictingQueue]) bool {
		q := p.Value()
		if q == nil {
			return true
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.len > length {
			longest, length = q, q.len
		}
		return false
	})
	allQueues.mu.Unlock()
	if longest != nil {
		longest.evictOldest()
	}
}

// NewSlot returns a slot that is outside. It can enter and leave the queue many times. evict is called each time the
// slot is evicted, on the goroutine that evicts it and without a lock. It should close the connection.
func (q *EvictingQueue) NewSlot(evict func()) *Slot { return &Slot{queue: q, evict: evict} }

// Enter puts s into the queue, or moves it there, as the newest slot. When the queue is full, Enter evicts the oldest
// slot.
func (s *Slot) Enter() {
	q := s.queue
	q.mu.Lock()
	s.leaveLocked()
	var oldest *Slot
	if q.len >= q.limit {
		oldest = q.end.newer
		oldest.leaveLocked()
	}
	s.older, s.newer = q.end.older, &q.end
	s.older.newer, s.newer.older = s, s
	q.len++
	q.mu.Unlock()
	if oldest != nil {
		oldest.evict()
	}
}

// Leave takes s out of the queue and returns its state before. After Enter, Outside means that the slot was evicted.
func (s *Slot) Leave() SlotState {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return s.leaveLocked()
}

// leaveLocked is Leave. The caller holds the lock of the queue.
func (s *Slot) leaveLocked() SlotState {
	if s.older == nil {
		return Outside
	}
	s.older.newer, s.newer.older = s.newer, s.older
	s.older, s.newer = nil, nil
	s.queue.len--
	return Queued
}

// EvictAll evicts all slots, the oldest first.
func (q *EvictingQueue) EvictAll() {
	for q.evictOldest() == Queued {
	}
}

// evictOldest evicts the oldest slot. It returns Outside when the queue is empty.
func (q *EvictingQueue) evictOldest() SlotState {
	q.mu.Lock()
	oldest := q.end.newer
	if oldest == &q.end {
		q.mu.Unlock()
		return Outside
	}
	oldest.leaveLocked()
	q.mu.Unlock()
	oldest.evict()
	return Queued
}
