//go:build !unix || aix

package tlsconf

import "io/fs"

// There are no locks here: let one process at a time change a CA.
func lockDir(string) (unlock func(), err error) { return func() {}, nil }

// What others may do to a file is not told by its mode here.
func checkDir(string) error { return nil }

func checkKeyMode(string, fs.FileInfo) error { return nil }

// A directory cannot be synced here.
func syncDir(string) error { return nil }
