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

// allowAll is an Authorizer that allows every call. If slow is set, some calls take up to 40 ms.
type allowAll struct{ slow bool }

func (e allowAll) Authorize(*mgr.Call) error {
	if e.slow && rand.IntN(50) == 0 {
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
	}
	return nil
}
