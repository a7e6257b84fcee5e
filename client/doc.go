// Package client gives commands to a daemon, over any transport.Dialer.
//
// [Do] gives one command on a conn of its own, as Kea's clients do, so it works with Kea's
// daemons as well. A [Client] keeps a conn open and gives many commands on it, from any number of goroutines:
//
//	c, err := client.Dial(ctx, &unix.Transport{Path: "/run/greeter/control.sock"})
//	…
//	greeting, err := client.Call[string](ctx, c, "greet", map[string]any{"name": "Ann"})
//
// The error of a command that failed is a *wire.Error, with the daemon's result, code and text.
package client
