package secrets

import (
	"io/fs"
	"os"
	"path/filepath"
)

// replace puts a new file in the place of an old one, in one step: whoever reads meets the one or
// the other, also after a crash. It returns what the new file looks like from outside.
func replace(path, text string) (_ fs.FileInfo, err error) {
	if len(text) > maxSize {
		return nil, errTooLong(path)
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // with mode 0600
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.WriteString(text); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return nil, err
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	return f.Stat()
}

// syncDir makes a rename outlive a power cut.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
