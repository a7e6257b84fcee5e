package accept

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSlotTransitions walks the table of Slot.
func TestSlotTransitions(t *testing.T) {
	var evicted []string
	queue := func(limit int) (q *EvictingQueue, slot func(name string) *Slot) {
		evicted = nil
		q = NewEvictingQueue(limit)
		return q, func(name string) *Slot { return q.NewSlot(func() { evicted = append(evicted, name) }) }
	}
	t.Run("outside to queued to outside: Enter, Leave", func(t *testing.T) {
		_, slot := queue(1)
		a := slot("a")
		require.Equal(t, Outside, a.Leave())
		for range 2 { // a slot can be used again
			a.Enter()
			require.Equal(t, Queued, a.Leave())
			require.Equal(t, Outside, a.Leave())
		}
		require.Empty(t, evicted)
	})
	t.Run("queued to queued: Enter makes the slot the newest one", func(t *testing.T) {
		_, slot := queue(2)
		a, b, c := slot("a"), slot("b"), slot("c")
		a.Enter()
		b.Enter()
		a.Enter()
		require.Empty(t, evicted)
		c.Enter()
		require.Equal(t, []string{"b"}, evicted)
		require.Equal(t, Queued, a.Leave())
	})
	t.Run("queued to outside: Enter of another slot evicts the oldest one", func(t *testing.T) {
		_, slot := queue(3)
		slots := []*Slot{slot("0"), slot("1"), slot("2"), slot("3"), slot("4")}
		for _, s := range slots {
			s.Enter()
		}
		require.Equal(t, []string{"0", "1"}, evicted)
		require.Equal(t, Outside, slots[0].Leave())
		require.Equal(t, Queued, slots[4].Leave())
	})
	t.Run("queued to outside: EvictAll, the oldest slot first", func(t *testing.T) {
		q, slot := queue(3)
		a, b := slot("a"), slot("b")
		a.Enter()
		b.Enter()
		q.EvictAll()
		require.Equal(t, []string{"a", "b"}, evicted)
		require.Equal(t, Outside, a.Leave())
		a.Enter()
		require.Equal(t, Queued, a.Leave())
	})
	t.Run("queued to outside: evictOldest", func(t *testing.T) {
		q, slot := queue(3)
		require.Equal(t, Outside, q.evictOldest())
		a, b := slot("a"), slot("b")
		a.Enter()
		b.Enter()
		require.Equal(t, Queued, q.evictOldest())
		require.Equal(t, []string{"a"}, evicted)
		require.Equal(t, Queued, b.Leave())
	})
}

func TestOldestSlotOfTheLongestQueueIsEvicted(t *testing.T) {
	var evicted []string
	short, long := NewEvictingQueue(9), NewEvictingQueue(9)
	enter := func(q *EvictingQueue, name string) {
		q.NewSlot(func() { evicted = append(evicted, name) }).Enter()
	}
	enter(short, "short")
	enter(long, "long, oldest")
	for range 8 { // more than any queue of another test has left
		enter(long, "long, newer")
	}
	evictOldest()
	require.Equal(t, []string{"long, oldest"}, evicted)
	short.EvictAll()
	long.EvictAll()
}

func TestEachSlotIsEitherEvictedOrLeavesWithManyGoroutines(t *testing.T) {
	q := NewEvictingQueue(5)
	var evicted, left atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			for range 100 {
				s := q.NewSlot(func() { evicted.Add(1) })
				s.Enter()
				if s.Leave() == Queued {
					left.Add(1)
				}
			}
		})
	}
	all.Wait()
	q.EvictAll()
	require.EqualValues(t, 100*100, evicted.Load()+left.Load())
}
