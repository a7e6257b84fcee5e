// Package browser_test has the tests with a browser: pages that may give commands can, and pages that
// may not, wherever they come from and whatever they try, run nothing.
package browser_test

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a test waits for what must happen. What happens in time does not depend on it.
const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// skip skips a test that cannot run here, and fails it where nothing may be skipped.
func skip(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("RUDDERPOST_REQUIRE") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
