package record_test

import (
	"fmt"
	"strings"

	"github.com/rudderpost/rudderpost/audit/record"
)

// VerifyFiles reads the files of a log, the oldest first, and checks the chain of their records. Here Verify gets text that
// has no records.
func ExampleVerify() {
	summary, err := record.Verify(strings.NewReader("no record\n"), nil)
	verdict, ok := record.VerdictOf(&summary, err)
	fmt.Println(summary.Records, verdict, ok)
	// Output: 0 no records true
}
