//go:build !unix || aix

package sharedfile

// Lock does nothing here: let one program at a time change a file.
func Lock(string) (unlock func(), err error) { return func() {}, nil }

// A directory cannot be synced here.
func syncDir(string) error { return nil }
