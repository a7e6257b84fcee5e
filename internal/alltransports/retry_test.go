package alltransports

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetryDialsAgainOnlyAfterATimeoutOnALateMachine(t *testing.T) {
	failed := errors.New("failed")
	for name, test := range map[string]struct {
		took, late time.Duration
		attempts   int
	}{
		"at once":                  {time.Millisecond, 0, 1},
		"at once, late":            {4 * time.Second, 3 * time.Second, 1},
		"timed out, and not late":  {5 * time.Second, 500 * time.Millisecond, 1},
		"timed out, and late":      {5 * time.Second, time.Second, maxAttempts},
		"timed out, and very late": {20 * time.Second, 19 * time.Second, maxAttempts},
	} {
		t.Run(name, func(t *testing.T) {
			l, clock, attempts := &Lag{}, time.Now(), 0
			dial := func() error {
				attempts++
				clock = clock.Add(test.took)
				l.late.Add(int64(test.late))
				return failed
			}
			require.Equal(t, failed, l.retry(func() time.Time { return clock }, dial))
			require.Equal(t, test.attempts, attempts)
		})
	}
	attempts := 0
	require.NoError(t, (&Lag{}).Retry(func() error { attempts++; return nil }))
	require.Equal(t, 1, attempts)
}

func TestLagOfABusyProcessIsMeasured(t *testing.T) {
	l, stop := MeasureLag(t)
	time.Sleep(50 * time.Millisecond)
	stop()
	require.GreaterOrEqual(t, l.late.Load(), int64(0))
	require.Less(t, time.Duration(l.late.Load()), time.Hour)
}
