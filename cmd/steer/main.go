// Steer sends a command to a daemon and prints the reply.
//
//	steer [-s URL] COMMAND [NAME=VALUE …]
//	steer [-s URL] COMMAND JSON
//	steer [-s URL] COMMAND @FILE      (- is standard input)
//
// It works with rudderpostd, with every daemon that embeds rudderpost, and with the daemons of Kea. The reply goes to
// standard output, everything else to standard error. The exit status follows the result.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
