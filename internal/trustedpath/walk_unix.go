//go:build unix && !aix

package trustedpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links a path may lead through, as in the Linux kernel.
const maxLinks = 40

// A place is the end of a path.
type place struct {
	path string      // without symbolic links and without . and ..; with missing: the deepest folder that exists
	info fs.FileInfo // of path, not followed
	link string      // the last component of the path as it was given, if that is a symbolic link
	wide string      // a folder on the way that a group with untrusted members may write; only with Rules.Log

	missing []string // the components that do not exist; empty: the path exists
}

// walk follows a path from / and checks each folder and symbolic link on the way, but not the last component. It
// stops at the first component that does not exist.
func (r Rules) walk(path string) (*place, error) {
	if path == "" {
		return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
	}
	pending := split(path)
	if !filepath.IsAbs(path) {
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		pending = append(split(dir), pending...)
	}
	at := &place{path: "/"}
	var err error
	if at.info, err = os.Lstat("/"); err != nil {
		return nil, err
	}
	for links := 0; len(pending) > 0; {
		name := pending[0]
		if !at.info.IsDir() {
			return nil, &fs.PathError{Op: "open", Path: at.path, Err: syscall.ENOTDIR}
		}
		if err := r.checkFolder(path, at); err != nil {
			return nil, err
		}
		pending = pending[1:]
		if name == ".." {
			at.path = filepath.Dir(at.path)
			if at.info, err = os.Lstat(at.path); err != nil {
				return nil, err
			}
			continue
		}
		next := filepath.Join(at.path, name)
		info, err := os.Lstat(next)
		if errors.Is(err, fs.ErrNotExist) {
			at.missing = append([]string{name}, pending...)
			return at, nil
		}
		if err != nil {
			return nil, r.denied(path, at.path, err)
		}
		if info.Mode().Type() != fs.ModeSymlink {
			at.path, at.info = next, info
			continue
		}
		last := len(pending) == 0 && at.link == ""
		if err := r.checkLink(path, next, info, last); err != nil {
			return nil, err
		}
		if last {
			at.link = next
		}
		if links++; links > maxLinks {
			return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
		}
		target, err := os.Readlink(next)
		if err != nil {
			return nil, err
		}
		if filepath.IsAbs(target) {
			at.path = "/"
			if at.info, err = os.Lstat("/"); err != nil {
				return nil, err
			}
		}
		pending = append(split(target), pending...)
	}
	return at, nil
}

// split returns the components of a path, without empty ones and ".".
func split(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(name string) bool { return name == "" || name == "." })
}

// denied adds to a permission error which file or folder it is about.
func (r Rules) denied(path, component string, err error) error {
	info, failed := os.Lstat(component)
	if !errors.Is(err, fs.ErrPermission) || failed != nil {
		return err
	}
	return &Error{Path: path, Component: component, Err: fs.ErrPermission,
		Reason: fmt.Sprintf("permission denied: %s belongs to the user %d (mode %s), and this process runs as the user %d",
			it(path, component, "it", component), OwnerOf(info), mode(info), os.Geteuid()),
		Do: "give it to that user, or run as its owner"}
}
