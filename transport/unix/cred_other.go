//go:build unix && !aix && !linux && !darwin && !freebsd

package unix

import "github.com/rudderpost/rudderpost/transport"

// credsOfFD returns no credentials on this system. Default deny then refuses the peer.
func credsOfFD(int, uint32) ([]transport.Credential, error) { return nil, nil }
