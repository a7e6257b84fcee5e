//go:build !unix || aix

package sharedfile

import "github.com/rudderpost/rudderpost/internal/trustedpath"

// Lock does nothing here: let one program at a time change a file.
func Lock(string, trustedpath.Rules) (unlock func(), err error) { return func() {}, nil }

// SyncDir does nothing here: a folder cannot be synced.
func SyncDir(string) error { return nil }
