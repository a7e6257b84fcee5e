// Package hooks adds hook libraries to a daemon: commands, and middleware around all commands, that the configuration
// names and that the daemon itself does not have.
//
// A library is a Go value that is compiled into the daemon (a [Library]), or a process in any language that reads and
// writes frames on stdin and stdout; docs/reference/hooks.md has that protocol. A compiled-in library is trusted like
// the daemon itself. A process can delay neither the loop nor another hook. Commands that it sends to the daemon run
// with the rights of the caller of its present call.
//
// To use it, make a [Set], register its commands, and prepare and commit a [Change] for each new configuration.
// Prepare runs off the loop; it may block and fail. Commit runs on the loop and is one step:
//
//	set := &hooks.Set{Manager: m}
//	err := m.Register(set.Commands()...)
//	change, err := set.Prepare(ctx, configs)    // starts and loads new libraries; running ones are not changed
//	err = mgr.OnLoop(ctx, change.Commit)        // puts them in force; removed ones are stopped afterwards, off the loop
//	err = set.Close(ctx)                        // stops all libraries
package hooks
