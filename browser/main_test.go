// Package browser_test has the tests with a browser: pages that may give commands can, and pages that
// may not, wherever they come from and whatever they try, run nothing.
package browser_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
