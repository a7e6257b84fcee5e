package audit_test

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// update makes tests write their results to testdata instead of comparing them.
var update = flag.Bool("update", false, "rewrite the files in testdata")

func TestMain(m *testing.M) {
	if path := os.Getenv(beRecorder); path != "" {
		recordUntilKilled(path)
	}
	goleak.VerifyTestMain(m)
}
