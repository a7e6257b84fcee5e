//go:build !unix || aix

package waystest

// local returns the ways that only this system has.
func (w *World) local() []Way { return nil }
