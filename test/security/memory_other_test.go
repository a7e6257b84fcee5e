//go:build !linux

package security_test

// beMeasured and runMeasured are for Linux only.
const beMeasured = "RUDDERPOST_TEST_BE_MEASURED"

func runMeasured() int { return 1 }
