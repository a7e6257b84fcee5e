package sharedfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A temporary file beside another file has this name: a dot, the name of the other file, tempMark and digits. The process
// that makes it keeps it locked until the file has its final name. So a temporary file without a lock was left by a killed
// process. The lock also works between containers, where a process id has no meaning.
const tempMark = ".tmp-"

// maxTries is how often a temporary file is made again that another process has removed before it was locked.
const maxTries = 100

// createTemp makes an empty file beside the file at path, with mode 0600, and removes the leftovers of that path. The
// file must stay open until it has its final name or is removed.
func createTemp(path string) (*os.File, error) {
	_ = RemoveLeftovers(path) // a file that cannot be removed now is tried again the next time
	dir, base := filepath.Split(path)
	for range maxTries {
		f, err := os.CreateTemp(filepath.Clean(dir), "."+base+tempMark+"*")
		if err != nil {
			return nil, err
		}
		if lockTemp(f) && isAt(f, f.Name()) {
			return f, nil
		}
		_ = f.Close() // another process has removed it as a leftover
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

// RemoveLeftovers removes the temporary files that killed processes have left beside the file at path. It does not
// remove the files of running processes, and follows no links. No other user may be able to write to the folder.
func RemoveLeftovers(path string) error {
	return removeLeftovers(filepath.Dir(path), "."+filepath.Base(path)+tempMark)
}

// RemoveAllLeftovers is RemoveLeftovers for all files in a folder.
func RemoveAllLeftovers(dir string) error { return removeLeftovers(dir, ".") }

func removeLeftovers(dir, prefix string) error {
	if !canLock {
		return nil // without locks it is not known which files are in use
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

// isTemp reports whether a name is that of a temporary file.
func isTemp(name string) bool {
	i := strings.LastIndex(name, tempMark)
	digits := name[i+len(tempMark):]
	return i > 1 && name[0] == '.' && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// removeLeftover removes a file unless a process has it locked.
func removeLeftover(root *os.Root, name string) error {
	f, err := root.OpenFile(name, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil //nolint:nilerr // the file was removed, or this process may not open it, so it is no leftover of this user
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
