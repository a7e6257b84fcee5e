//go:build !linux

package main

import (
	"fmt"
	"io"
)

// runInit needs Linux.
func runInit(_ []string, stderr io.Writer) int {
	fmt.Fprintln(stderr, "rudderpostd: --init needs Linux; start the daemon without it")
	return 1
}

// cancelWithInit does nothing, because there is no init process.
func cancelWithInit(func()) {}
