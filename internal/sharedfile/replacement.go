// Package sharedfile changes files that other programs read, or change too, at the same time.
//
// A file that is replaced keeps its owner, group, permissions and, on Linux, its POSIX ACL. A new file that root makes
// takes the owner and the group of its folder. If they cannot be kept, the change is refused before any write. Other extended
// attributes (SELinux labels, capabilities) and the ACLs of other systems are those of a new file.
package sharedfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// Step is called before each step of Commit with its name: write, sync, rename, sync folder; and rewrite, when the
// file is rewritten in place. Tests replace it to make a step fail or to end the process.
var Step = func(string) error { return nil }

// A Replacement is a new file beside the file that it will replace. It has its final owner, group, permissions and
// ACL, and no text yet. One goroutine at a time may use it.
type Replacement struct {
	path string
	old  fs.FileInfo // nil: there is no file
	f    *os.File
	done bool // Commit was called
}

// Prepare prepares to replace the file at path, or to make it with the permissions mode. The caller must call Commit
// or Discard. An error says which property of the present file could not be kept, and what to do. path must not be a
// symbolic link.
func Prepare(path string, mode fs.FileMode) (_ *Replacement, err error) {
	old, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		old = nil
	case err != nil:
		return nil, err
	case !old.Mode().IsRegular():
		return nil, &fs.PathError{Op: "replace", Path: path, Err: fmt.Errorf("it is no regular file (%v)", old.Mode())}
	default:
		mode = old.Mode().Perm()
	}
	f, err := temp(path, old, mode)
	if err != nil {
		return nil, err
	}
	return &Replacement{path: path, old: old, f: f}, nil
}

// temp makes an empty file beside path, with the attributes of old, or those of a new file if old is nil.
func temp(path string, old fs.FileInfo, mode fs.FileMode) (_ *os.File, err error) {
	dir := filepath.Dir(path)
	f, err := createTemp(path) // with mode 0600
	if err != nil {
		if old != nil && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
			err = fmt.Errorf("%s cannot be replaced: %w; this user must be able to write to its folder (where the file is mounted by itself, mount its folder instead)", path, err)
		}
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if old != nil {
		err = keepAttributes(f, path, old)
	} else {
		err = trustedpath.TakeFolderOwner(f, dir)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	return f, err
}

// Discard removes the new file. After Commit it does nothing.
func (r *Replacement) Discard() {
	if r.done {
		return
	}
	_ = r.f.Close()
	_ = os.Remove(r.f.Name())
}

// Commit replaces the old file by the new one in one step: a reader finds the old or the new file, complete, also
// after a power cut. It returns the information about the new file. If the system refuses to replace the file because
// it is mounted by itself (EBUSY), the file is rewritten in place; see rewrite.
func (r *Replacement) Commit(text []byte) (_ fs.FileInfo, err error) {
	r.done = true
	defer func() {
		_ = r.f.Close()
		if err != nil {
			_ = os.Remove(r.f.Name())
		}
	}()
	if err = Step("write"); err != nil {
		return nil, err
	}
	_, err = r.f.Write(text)
	if err = errors.Join(err, Step("sync"), r.f.Sync()); err != nil {
		return nil, err
	}
	info, err := r.f.Stat()
	if err != nil {
		return nil, err
	}
	err = Step("rename")
	if err == nil {
		err = os.Rename(r.f.Name(), r.path)
	}
	if errors.Is(err, syscall.EBUSY) && r.old != nil {
		if info, err = r.rewrite(text); err == nil {
			err = os.Remove(r.f.Name())
		}
		return info, err
	}
	if err != nil {
		return nil, err
	}
	return info, errors.Join(Step("sync folder"), SyncDir(filepath.Dir(r.path)))
}

// Replace calls Prepare and Commit.
func Replace(path string, text []byte, mode fs.FileMode) (fs.FileInfo, error) {
	r, err := Prepare(path, mode)
	if err != nil {
		return nil, err
	}
	return r.Commit(text)
}

// Check returns the error that Replace would return before it writes, without changing the files. It is for changes
// of several files.
func Check(paths ...string) error {
	for _, path := range paths {
		r, err := Prepare(path, 0o600)
		if err != nil {
			return err
		}
		r.Discard()
	}
	return nil
}

// Create makes a complete file in one step. The error is fs.ErrExist if the file exists.
func Create(path string, text []byte, mode fs.FileMode) error { return create(path, nil, text, mode) }

// Copy makes a file with the text, and with the owner, group, permissions and ACL of the file old. The error is
// fs.ErrExist if the file exists.
func Copy(path string, text []byte, old string) error {
	info, err := os.Lstat(old)
	if err != nil {
		return err
	}
	return create(path, &original{old, info}, text, info.Mode().Perm())
}

// An original is a file whose attributes a new file gets.
type original struct {
	path string
	info fs.FileInfo
}

func create(path string, like *original, text []byte, mode fs.FileMode) error {
	f, err := temp(path, nil, mode)
	if err != nil {
		return err
	}
	defer func() { // f stays open until it has its name, so that no other process removes it as a leftover
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	if like != nil {
		err = keepAttributes(f, like.path, like.info)
		err = errors.Join(err, f.Chmod(mode))
	}
	if err == nil {
		_, err = f.Write(text)
	}
	if err = errors.Join(err, f.Sync()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// BackupSuffix is the suffix of the copy that exists while a file is rewritten in place.
const BackupSuffix = ".before"

// rewrite writes the text over the file. A program that reads at the same time may read a part of it. Before that, a
// copy with BackupSuffix is written to the disk; it is removed when the text is on the disk. If a write fails, the
// old text is written back. If that fails too, or the process is killed, the copy stays.
func (r *Replacement) rewrite(text []byte) (_ fs.FileInfo, err error) {
	backup := r.path + BackupSuffix
	advice := "; it is mounted by itself, so it cannot be replaced: mount its folder instead"
	f, err := openToRewrite(r.path, r.old)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, advice)
	}
	defer f.Close()
	before, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	err = Copy(backup, before, r.path)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s is there, so an earlier change of %s was interrupted: compare the two, keep the good one, and remove %s", backup, r.path, backup)
	}
	if err != nil {
		return nil, fmt.Errorf("no backup: %w%s", err, advice)
	}
	if err = overwrite(f, text); err != nil {
		if failed := overwrite(f, before); failed != nil {
			return nil, fmt.Errorf("%s may be damaged: %w; what it was before is in %s", r.path, errors.Join(err, failed), backup)
		}
	}
	err = errors.Join(err, os.Remove(backup), SyncDir(filepath.Dir(r.path)))
	info, failed := f.Stat()
	return info, errors.Join(err, failed)
}

// overwrite replaces the whole text of a file.
func overwrite(f *os.File, text []byte) error {
	if err := Step("rewrite"); err != nil {
		return err
	}
	_, err := f.WriteAt(text, 0)
	if err == nil {
		err = f.Truncate(int64(len(text)))
	}
	return errors.Join(err, f.Sync())
}

// openToRewrite opens the file that old describes.
func openToRewrite(path string, old fs.FileInfo) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|noFollow, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !os.SameFile(info, old):
		err = &fs.PathError{Op: "rewrite", Path: path, Err: errors.New("another program has replaced it; try again")}
	case links(info) > 1:
		err = &fs.PathError{Op: "rewrite", Path: path, Err: fmt.Errorf("it has %d hard links, which would change too", links(info))}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
