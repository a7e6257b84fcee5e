package sharedfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// BackupSuffix is what the name of the copy has behind it that exists while a file is rewritten in place.
const BackupSuffix = ".before"

// rewrite writes the text over the file. A program that reads meanwhile may meet a part of it. A copy of the file, with
// BackupSuffix, is on the disk before, and is removed when the text is on the disk. When writing fails, the file gets
// back what it had; when that fails too, or the process is killed, the copy stays.
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

// overwrite makes text all that is in the file.
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
