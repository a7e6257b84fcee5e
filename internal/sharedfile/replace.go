// Package sharedfile changes files that other programs read, or change too, at the same time.
package sharedfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Step is called before each step of Replace, with its name: write, sync, rename, sync folder. Tests replace it, to
// fail there, or to end the process.
var Step = func(string) error { return nil }

// Replace puts a new file in the place of an old one, in one step: whoever reads meets the one or the
// other, whole, also after a power cut. The file never has a wider mode than the one given. It returns
// what the new file looks like from outside.
func Replace(path string, text []byte, mode fs.FileMode) (_ fs.FileInfo, err error) {
	dir := filepath.Dir(path)
	f, err := createTemp(path) // with mode 0600
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err = Step("write"); err != nil {
		return nil, err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), Step("sync"), f.Sync()); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err = errors.Join(err, Step("rename")); err != nil {
		return nil, err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return nil, err
	}
	return info, errors.Join(Step("sync folder"), syncDir(dir))
}
