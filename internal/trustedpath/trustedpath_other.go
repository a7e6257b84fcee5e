//go:build !unix || aix

package trustedpath

import (
	"io/fs"
	"os"
)

// Open opens a regular file. Owners and modes are not checked on this system.
func (r Rules) Open(path string, flag int, perm fs.FileMode) (*os.File, fs.FileInfo, error) {
	if err := r.Check(path); err != nil && flag&os.O_CREATE == 0 {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, flag, perm)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// TakeFolderOwner does nothing on this system.
func TakeFolderOwner(*os.File, string) error { return nil }

// Check checks that a file is regular.
func (r Rules) Check(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &Error{Path: path, Component: path, Reason: "it is no regular file"}
	}
	return nil
}

// Resolve returns the path itself.
func (r Rules) Resolve(path string) (string, error) { return path, r.Check(path) }

// Folder checks that there is a folder.
func (r Rules) Folder(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = &Error{Path: path, Component: path, Reason: "it is no folder"}
	}
	return err
}

// MakeFolder makes a folder.
func (r Rules) MakeFolder(path string, perm fs.FileMode) error { return os.MkdirAll(path, perm) }

// OwnerOf returns the number of no user on this system.
func OwnerOf(fs.FileInfo) uint32 { return none }
