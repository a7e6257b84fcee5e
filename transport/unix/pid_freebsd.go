package unix

// peerPID would return the peer's process; 0 means that it is unknown.
func peerPID(int) int32 { return 0 }
