//go:build !unix || aix

package sharedfile

import (
	"io/fs"
	"os"
)

const noFollow = 0

// keepAttributes does nothing on this system.
func keepAttributes(*os.File, string, fs.FileInfo) error { return nil }

func links(fs.FileInfo) int { return 1 }
