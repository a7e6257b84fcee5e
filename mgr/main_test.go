package mgr_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// update makes the tests write their results to testdata instead of comparing them.
var update = flag.Bool("update", false, "rewrite the files in testdata")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
