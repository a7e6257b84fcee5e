//go:build !unix || aix

package tlsconf

import "io/fs"

// checkKeyMode does nothing: on this system the mode does not tell which users can read a file.
func checkKeyMode(string, fs.FileInfo) error { return nil }
