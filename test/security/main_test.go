package security_test

import (
	"os"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(beMeasured) != "" {
		os.Exit(runMeasured())
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		testkit.RemovePrograms()
		os.Exit(status)
	}))
}
