package front

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheOldestGivesWay(t *testing.T) {
	w := NewWaiting(3)
	var gone []int
	places := make([]*Place, 6)
	for i := range places {
		places[i] = w.Place(func() { gone = append(gone, i) })
	}
	for _, i := range []int{0, 1, 2} {
		places[i].Enter()
	}
	require.Empty(t, gone)
	places[0].Enter() // and so is the newest
	require.Empty(t, gone)
	places[3].Enter()
	require.Equal(t, []int{1}, gone)
	require.False(t, places[1].Leave())
	require.True(t, places[2].Leave())
	require.False(t, places[2].Leave())
	places[4].Enter()
	require.Equal(t, []int{1}, gone)
	w.Clear()
	require.Equal(t, []int{1, 0, 3, 4}, gone)
	places[1].Enter()
	require.True(t, places[1].Leave())
}

func TestWaitingByMany(t *testing.T) {
	w := NewWaiting(5)
	var gone, left atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			for range 100 {
				p := w.Place(func() { gone.Add(1) })
				p.Enter()
				if p.Leave() {
					left.Add(1)
				}
			}
		})
	}
	all.Wait()
	w.Clear()
	require.EqualValues(t, 100*100, gone.Load()+left.Load())
}
