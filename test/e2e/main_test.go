package e2e_test

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(beDrained) != "" {
		os.Exit(runDrained())
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		testkit.RemovePrograms()
		os.Exit(status)
	}))
}

// An allowAll allows every call. A slow one takes up to 40 ms for some.
type allowAll struct{ slow bool }

func (e allowAll) Authorize(*mgr.Call) error {
	if e.slow && rand.IntN(50) == 0 {
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
	}
	return nil
}
