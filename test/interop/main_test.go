package interop_test

import (
	"os"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		testkit.RemovePrograms()
		os.Exit(status)
	}))
}
