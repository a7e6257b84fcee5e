//go:build !unix || aix

package sharedfile

import "github.com/rudderpost/rudderpost/internal/trustedpath"

// Lock does nothing here: let one program at a time change a file.
func Lock(string, trustedpath.Rules) (unlock func(), err error) { return func() {}, nil }

// A directory cannot be synced here.
func syncDir(string) error { return nil }
