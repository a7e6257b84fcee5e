// Steer gives a command to a daemon and prints its reply.
//
//	steer [-s URL] COMMAND [NAME=VALUE …]
//	steer [-s URL] COMMAND JSON
//	steer [-s URL] COMMAND @FILE      (- is standard input)
//
// It speaks to rudderpostd, to every daemon that embeds rudderpost, and to Kea's. The reply goes to
// standard output, everything else to standard error, and the exit status follows the result.
package main
