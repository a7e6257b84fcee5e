// Package sharedfile changes files that other programs read, or change too, at the same time.
//
// A file that is replaced keeps its owner, group, permissions and, on Linux, its POSIX ACL. A new file that root makes
// takes the owner and the group of its folder. What cannot be kept is refused before anything is written. Other extended
// attributes (SELinux labels, capabilities) and the ACLs of other systems are those of a new file.
package sharedfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// Step is called before each step of Commit, with its name: write, sync, rename, sync folder; and where the file is
// rewritten in place: rewrite. Tests replace it, to fail there, or to end the process.
var Step = func(string) error { return nil }

// A Replacement is a new file beside the one that it will replace. It has the owner, group, permissions and ACL that
// it will have, and no text yet.
type Replacement struct {
	path string
	old  fs.FileInfo // nil: there is no file
	f    *os.File
	done bool // Commit was called
}

// Prepare makes everything ready to replace the file at path, or to make it with the permissions mode. The caller must
// call Commit or Discard. An error says what of the present file could not be kept, and what to do. path must not be
// a symbolic link.
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

// temp makes an empty file beside path, with the attributes of old, or those of a new file.
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

// Discard removes what Prepare has made. After Commit it does nothing.
func (r *Replacement) Discard() {
	if r.done {
		return
	}
	_ = r.f.Close()
	_ = os.Remove(r.f.Name())
}

// Commit puts the new file in the place of the old one, in one step: a program that reads meets the one or the other,
// whole, also after a power cut. It returns what the new file looks like from outside. Where the system refuses to
// replace the file, since it is mounted by itself (EBUSY), the file is rewritten in place; see rewrite.
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

// Replace is Prepare and Commit.
func Replace(path string, text []byte, mode fs.FileMode) (fs.FileInfo, error) {
	r, err := Prepare(path, mode)
	if err != nil {
		return nil, err
	}
	return r.Commit(text)
}

// Check says why Replace would refuse to replace the files, without changing them. It is for changes of several files.
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

// Create makes a file, whole and in one step. The error is fs.ErrExist where there is one.
func Create(path string, text []byte, mode fs.FileMode) error { return create(path, nil, text, mode) }

// Copy makes a file with the text, and with the owner, group, permissions and ACL of another file, old. The error is
// fs.ErrExist where there is one already.
func Copy(path string, text []byte, old string) error {
	info, err := os.Lstat(old)
	if err != nil {
		return err
	}
	return create(path, &original{old, info}, text, info.Mode().Perm())
}

// An original is a file whose attributes another one takes over.
type original struct {
	path string
	info fs.FileInfo
}

func create(path string, like *original, text []byte, mode fs.FileMode) error {
	f, err := temp(path, nil, mode)
	if err != nil {
		return err
	}
	defer func() { // it is open until it has its name, so that no other process takes it for a leftover
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
