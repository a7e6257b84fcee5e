package loglimit_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/loglimit"

	"github.com/stretchr/testify/require"
)

func TestLinesOfOneKeyDoNotHideLinesOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		omitted := map[string]int{}
		report := func(key string, lines int) { // on a goroutine of the limiter's
			mu.Lock()
			defer mu.Unlock()
			omitted[key] += lines
		}
		seen := func() map[string]int {
			mu.Lock()
			defer mu.Unlock()
			return maps.Clone(omitted)
		}
		l := &loglimit.Limiter{Report: report}
		allowed := 0
		for range 5000 {
			if l.Allow("loud") {
				allowed++
			}
		}
		require.Equal(t, loglimit.PerKey, allowed)
		require.True(t, l.Allow("quiet"))
		require.Empty(t, seen())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, map[string]int{"loud": 4990}, seen(), "reported though no other line came")
		require.True(t, l.Allow("loud"))
		time.Sleep(time.Second)
		require.True(t, l.Allow("loud"))
		l.Flush()
		require.Len(t, seen(), 1)
	})
}

func TestLinesOfAllKeysTogetherAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reports, lines := 0, 0
		l := &loglimit.Limiter{Report: func(_ string, n int) { reports++; lines += n }}
		allowed := 0
		for i := range 10_000 {
			if l.Allow(fmt.Sprint(i)) {
				allowed++
			}
		}
		require.Equal(t, loglimit.Total, allowed)
		l.Flush()
		require.Equal(t, 10_000-loglimit.Total, lines)
		require.LessOrEqual(t, reports, 257)
		require.True(t, l.Allow("again"))
	})
}
