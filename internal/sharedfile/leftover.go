package sharedfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Each file that is made beside another one, to be renamed or linked over it, has a name of one scheme: a dot, the name
// of the other file, tempMark and digits. The process that makes it has it locked until it has its name. So a file of
// that scheme that is not locked is what a killed process left. The lock holds over containers too, where a process
// number means nothing.
const tempMark = ".tmp-"

// maxTries is how often a file is made anew that another process removed before it was locked.
const maxTries = 100

// createTemp makes an empty file beside the file at path, with mode 0600, and removes what killed processes left of
// that path. The file must stay open until it has its name, or is removed.
func createTemp(path string) (*os.File, error) {
	_ = RemoveLeftovers(path) // what cannot be removed now is tried again the next time
	dir, base := filepath.Split(path)
	for range maxTries {
		f, err := os.CreateTemp(filepath.Clean(dir), "."+base+tempMark+"*")
		if err != nil {
			return nil, err
		}
		if lockTemp(f) && isAt(f, f.Name()) {
			return f, nil
		}
		_ = f.Close() // a process that removes leftovers was faster
	}
	return nil, &fs.PathError{Op: "make a file beside", Path: path, Err: errors.New("another process removes it each time")}
}

// isAt reports whether f is the file at a path.
func isAt(f *os.File, path string) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(info, there)
}

// RemoveLeftovers removes the files that killed processes made beside the file at path. It does not touch files of
// processes that run, and follows no links. The folder must be one that no other user can write to.
func RemoveLeftovers(path string) error {
	return removeLeftovers(filepath.Dir(path), "."+filepath.Base(path)+tempMark)
}

// RemoveAllLeftovers does that for all files in a folder.
func RemoveAllLeftovers(dir string) error { return removeLeftovers(dir, ".") }

func removeLeftovers(dir, prefix string) error {
	if !canLock {
		return nil // nothing says which files are in use
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	for _, entry := range entries {
		if name := entry.Name(); strings.HasPrefix(name, prefix) && isTemp(name) && entry.Type().IsRegular() {
			err = errors.Join(err, removeLeftover(root, name))
		}
	}
	return err
}

// isTemp reports whether a name is of the scheme.
func isTemp(name string) bool {
	i := strings.LastIndex(name, tempMark)
	digits := name[i+len(tempMark):]
	return i > 1 && name[0] == '.' && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// removeLeftover removes a file unless a process has it locked.
func removeLeftover(root *os.Root, name string) error {
	f, err := root.OpenFile(name, os.O_RDONLY|noFollowLeftover, 0)
	if err != nil {
		return nil //nolint:nilerr // it is gone, or it is not a file that this process may open, and so none of its own
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || !lockTemp(f) {
		return err
	}
	there, err := root.Lstat(name)
	if err != nil || !os.SameFile(info, there) {
		return nil //nolint:nilerr // it was renamed meanwhile
	}
	if err := root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
