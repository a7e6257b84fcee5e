//go:build !linux

package hooks_test

// beADaemon is for where the kernel ends a hook with its daemon.
func beADaemon() {}
