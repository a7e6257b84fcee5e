// Package hooks adds hook libraries to a daemon: commands, and functions around all commands, that the
// configuration names and the daemon does not know.
//
// A library is a Go value that the daemon's author has compiled in, or a process in any language that
// speaks frames on its stdin and stdout (docs/reference/hooks.md is the protocol). The former is trusted as the
// daemon itself is. The latter cannot delay the loop or another hook, whatever it does, and what it asks
// of the daemon it asks with the rights of whoever called it.
//
// A Set has the libraries that run. A change of them is prepared beside the loop, where it may take its
// time and fail, and committed on it in one step:
//
//	change, err := set.Prepare(ctx, configs)   // starts and loads what is new; what runs is not touched
//	err = mgr.OnLoop(ctx, change.Commit)       // swaps; what is gone is stopped afterwards, beside the loop
package hooks
