package audit_test

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// update makes the tests write down what they see instead of comparing it.
var update = flag.Bool("update", false, "rewrite the files in testdata")

func TestMain(m *testing.M) {
	if path := os.Getenv(beRecorder); path != "" {
		recordUntilKilled(path)
	}
	goleak.VerifyTestMain(m)
}
