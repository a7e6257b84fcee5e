// Package client gives commands to a daemon, over any transport.Dialer.
//
// [Do] gives one command on a conn of its own. It is what Kea's clients do, so it works with Kea's
// daemons as well. A [Client] keeps a conn and gives many commands on it, at the same time if one
// likes:
//
//	c, err := client.Dial(ctx, &unix.Transport{Path: "/run/greeter/control.sock"})
//	…
//	greeting, err := client.Call[string](ctx, c, "greet", map[string]any{"name": "Ann"})
//
// A command that fails is told as *wire.Error, with the daemon's result and words.
package client
