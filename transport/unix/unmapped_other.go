//go:build unix && !aix && !linux

package unix

// Elsewhere there are no user namespaces.
func unmappedUID() uint32 { return none }
func unmappedGID() uint32 { return none }
