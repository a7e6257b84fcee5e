//go:build !linux

package hooks_test

// runDaemon is never called here: only on Linux the kernel kills a hook with its daemon.
func runDaemon() {}
