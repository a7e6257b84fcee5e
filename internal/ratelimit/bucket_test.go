package ratelimit_test

import (
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/ratelimit"

	"github.com/stretchr/testify/require"
)

func TestBucketRefillsAtItsRateUpToItsBurst(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, bucket := range map[string]ratelimit.Bucket{"zero": {}, "full": ratelimit.Full(now, 3)} {
		take := func() time.Duration { return bucket.Take(now, 2, 3) }
		for range 3 {
			require.Zero(t, take(), name)
		}
		require.Equal(t, time.Second/2, take(), "%s: the next token takes half a second", name)
		now = now.Add(time.Second / 4)
		require.Equal(t, time.Second/4, take(), name)
		now = now.Add(time.Second / 4)
		require.Zero(t, take(), name)
		require.Equal(t, time.Second/2, take(), name)
		now = now.Add(time.Hour)
		require.Equal(t, time.Hour, bucket.SinceTake(now), name)
		for range 3 {
			require.Zero(t, take(), "%s: it holds no more than its burst", name)
		}
		require.NotZero(t, take(), name)
		require.Zero(t, bucket.SinceTake(now), name)
	}
}

func TestRateMayChangeBetweenCalls(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	bucket := ratelimit.Full(now, 10)
	require.Zero(t, bucket.Take(now, 10, 10))
	require.Zero(t, bucket.Take(now, 1, 1), "tokens above the new burst are lost")
	require.Equal(t, time.Second, bucket.Take(now, 1, 1))
}
