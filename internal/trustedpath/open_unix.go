//go:build unix && !aix

package trustedpath

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Open opens a regular file. With os.O_CREATE it makes the file with the permissions perm if it does not exist. It
// never blocks: a FIFO or a device is refused before it is opened. The information is that of the opened file. A file
// that root makes gets the owner and the group of its folder. The error is an *Error if the path is not trusted;
// fs.ErrNotExist and fs.ErrPermission keep their meaning.
func (r Rules) Open(path string, flag int, perm fs.FileMode) (*os.File, fs.FileInfo, error) {
	for range 10 {
		at, err := r.walk(path)
		if err != nil {
			return nil, nil, err
		}
		if len(at.missing) > 0 {
			f, info, err := r.create(path, at, flag, perm)
			if errors.Is(err, fs.ErrExist) && flag&os.O_EXCL == 0 {
				continue // made by another process since the walk
			}
			return f, info, err
		}
		if flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL {
			return nil, nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
		}
		f, info, err := r.open(path, at, flag&^os.O_CREATE)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since the walk
		}
		return f, info, err
	}
	return nil, nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("other programs make and remove it all the time")}
}

// open opens a file that exists.
func (r Rules) open(path string, at *place, flag int) (*os.File, fs.FileInfo, error) {
	if err := regular(path, at.path, at.info); err != nil {
		return nil, nil, err
	}
	if err := r.checkOwner(path, at.path, at.info, "the file"); err != nil {
		return nil, nil, err // before "permission denied", which says less
	}
	f, err := os.OpenFile(at.path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, r.denied(path, at.path, err)
	}
	info, err := f.Stat()
	if err == nil {
		err = r.checkFile(path, at, info)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// create makes a file in a folder that walk has checked.
func (r Rules) create(path string, at *place, flag int, perm fs.FileMode) (*os.File, fs.FileInfo, error) {
	if at.link != "" {
		return nil, nil, &fs.PathError{Op: "open", Path: path,
			Err: fmt.Errorf("%w: the symbolic link %s leads to no file", unix.ENOENT, at.link)}
	}
	if flag&os.O_CREATE == 0 {
		return nil, nil, &fs.PathError{Op: "open", Path: path, Err: unix.ENOENT}
	}
	if len(at.missing) > 1 {
		return nil, nil, &fs.PathError{Op: "create", Path: path,
			Err: fmt.Errorf("%w; make the folder %s first, with mode 0700", unix.ENOENT, filepath.Join(at.path, at.missing[0]))}
	}
	f, err := os.OpenFile(filepath.Join(at.path, at.missing[0]), flag|os.O_EXCL|unix.O_NOFOLLOW|unix.O_NONBLOCK, perm)
	if err != nil {
		return nil, nil, err
	}
	err = TakeFolderOwner(f, at.path)
	info, failed := f.Stat()
	if err = errors.Join(err, failed); err != nil {
		_ = os.Remove(f.Name())
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// TakeFolderOwner gives a new file, or a new empty folder, the owner and the group of its folder, so that the owner
// of the folder can use it. It does nothing if root owns the folder, or if this process does not run as root.
func TakeFolderOwner(f *os.File, folder string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	owner, group := OwnerOf(info), groupOf(info)
	if owner == 0 {
		return nil
	}
	if err := f.Chown(int(owner), int(group)); err != nil {
		return fmt.Errorf("%w; it cannot be given to the owner of its folder: run as the user %d", err, owner)
	}
	return nil
}

// Check checks a file without opening it. It is for programs that the kernel opens.
func (r Rules) Check(path string) error {
	at, err := r.walk(path)
	if err != nil {
		return err
	}
	if len(at.missing) > 0 {
		return &fs.PathError{Op: "open", Path: path, Err: unix.ENOENT}
	}
	return r.checkFile(path, at, at.info)
}

// Resolve checks a file that exists, and returns its path without symbolic links.
func (r Rules) Resolve(path string) (string, error) {
	at, err := r.walk(path)
	if err != nil {
		return "", err
	}
	if len(at.missing) > 0 {
		return "", &fs.PathError{Op: "open", Path: path, Err: unix.ENOENT}
	}
	return at.path, r.checkFile(path, at, at.info)
}

// Folder checks a folder in which this process makes files: no user but a trusted one may write to it, even where
// it has the sticky bit, since another user's file could be there first.
func (r Rules) Folder(path string) error {
	r.FollowLink = true
	at, err := r.walk(path)
	if err != nil {
		return err
	}
	if len(at.missing) > 0 {
		return &fs.PathError{Op: "open", Path: path, Err: unix.ENOENT}
	}
	return r.checkLastFolder(path, at)
}

func (r Rules) checkLastFolder(path string, at *place) error {
	if !at.info.IsDir() {
		return &fs.PathError{Op: "open", Path: path, Err: unix.ENOTDIR}
	}
	if err := r.checkOwner(path, at.path, at.info, "the folder"); err != nil {
		return err
	}
	err := r.checkWriters(path, at.path, at.info, "the folder")
	if bad, ok := errors.AsType[*Error](err); ok && at.info.Mode()&fs.ModeSticky != 0 {
		bad.Do = "use a folder of its own, with mode 0700"
	}
	return err
}

// MakeFolder makes a folder, and those above it that do not exist, with the permissions perm, and checks it as Folder
// does. Folders that root makes take the owner of the one above.
func (r Rules) MakeFolder(path string, perm fs.FileMode) error {
	r.FollowLink = true
	at, err := r.walk(path)
	if err != nil {
		return err
	}
	if len(at.missing) == 0 {
		return r.checkLastFolder(path, at)
	}
	parent := at.path
	for _, name := range at.missing {
		next := filepath.Join(parent, name)
		if err := os.Mkdir(next, perm); err == nil {
			if err := takeOwnerOfNewFolder(next, parent); err != nil {
				return err
			}
		} else if !errors.Is(err, fs.ErrExist) {
			return err
		}
		parent = next
	}
	return r.Folder(path)
}

// takeOwnerOfNewFolder is TakeFolderOwner for a folder. The owner of parent can rename its files, so the name may be
// that of another folder now: only an empty folder of root's gets another owner.
func takeOwnerOfNewFolder(path, parent string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || OwnerOf(info) != 0 {
		return err
	}
	if _, err := f.ReadDir(1); !errors.Is(err, io.EOF) {
		return err
	}
	return TakeFolderOwner(f, parent)
}
