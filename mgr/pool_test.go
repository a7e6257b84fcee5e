package mgr

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// A pool has a goroutine for each task that blocks. Of those it keeps maxIdle when the tasks have returned, and none when
// it is closed: close would wait for ever for a goroutine that is left.
func TestPoolKeepsAFewIdleGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tasks, maxIdle = 50, 3
		var p pool[int]
		var ran atomic.Int64
		release := make(chan struct{})
		p.init(maxIdle, func(int) {
			ran.Add(1)
			<-release
		})
		idle := func() int {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.idle
		}
		for i := range tasks - 1 {
			p.add(i)
		}
		p.addFresh(tasks)
		synctest.Wait()
		require.EqualValues(t, tasks, ran.Load())
		require.Zero(t, idle())
		close(release)
		synctest.Wait()
		require.Equal(t, maxIdle, idle())
		p.add(0) // an idle goroutine runs it
		synctest.Wait()
		require.EqualValues(t, tasks+1, ran.Load())
		require.Equal(t, maxIdle, idle())
		p.close()
	})
}
