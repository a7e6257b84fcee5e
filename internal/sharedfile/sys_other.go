//go:build !unix || aix

package sharedfile

import (
	"io/fs"
	"os"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

const noFollow = 0

// keepAttributes does nothing on this system.
func keepAttributes(*os.File, string, fs.FileInfo) error { return nil }

func links(fs.FileInfo) int { return 1 }

const canLock = false

// lockTemp does nothing on this system.
func lockTemp(*os.File) bool { return true }

// Lock does nothing on this system: only one program at a time may change a file.
func Lock(string, trustedpath.Rules) (unlock func(), err error) { return func() {}, nil }

// SyncDir does nothing here: a folder cannot be synced.
func SyncDir(string) error { return nil }
