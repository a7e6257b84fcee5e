//go:build !linux

package rudderpost_test

func runMeasured() int { return 1 }
