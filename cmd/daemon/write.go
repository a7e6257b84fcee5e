package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rudderpost/rudderpost/internal/sharedfile"
	"github.com/rudderpost/rudderpost/mgr/std"

	"github.com/BurntSushi/toml"
)

// Write implements std.Configurable: it writes the daemon's own file and no other.
func (s *settings) Write(ctx context.Context, name string) (written std.Written, err error) {
	if s.d.file == "" {
		return std.Written{}, errNoFile
	}
	if name != "" && name != s.d.file && name != filepath.Base(s.d.file) {
		return std.Written{}, fmt.Errorf("not allowed to write config into %s: the daemon writes its own file only (%s)", name, s.d.file)
	}
	err = s.alone(ctx, func() error {
		written, err = putConfig(s.d.file, s.d.inForce.Load().Config)
		return err
	})
	if err != nil {
		return std.Written{}, fmt.Errorf("Error during config-write: %w", err) // Kea's words
	}
	return written, nil
}

// putConfig puts a configuration into a file: whoever reads it meets the one that was there or the new one,
// whole, and the one that was there stays beside it.
func putConfig(path string, c *Config) (std.Written, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return std.Written{}, err
	}
	text, err := c.encode()
	if err != nil {
		return std.Written{}, err
	}
	written := std.Written{Filename: path, Size: int64(len(text))}
	before, err := os.ReadFile(path)
	if err != nil {
		return std.Written{}, err
	}
	if bytes.Equal(before, text) {
		return written, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return std.Written{}, err
	}
	if err := failpoint("before backup"); err != nil {
		return std.Written{}, err
	}
	if written.Backup, err = backUp(path); err != nil {
		return std.Written{}, err
	}
	if err := failpoint("after backup"); err != nil {
		return std.Written{}, err
	}
	if _, err = sharedfile.Replace(path, text, info.Mode().Perm()); err != nil {
		return std.Written{}, err
	}
	return written, failpoint("after write")
}

// encode writes a configuration as its file may be: with all its keys, and its secrets.
func (c *Config) encode() ([]byte, error) {
	text := bytes.NewBufferString("# Written by config-write. The file that was here before, with its comments, is beside this one.\n\n")
	e := toml.NewEncoder(text)
	e.Indent = ""
	if err := e.Encode(c); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// backUp gives a file another name as well, the first that is free.
func backUp(path string) (string, error) {
	for n := 1; ; n++ {
		backup := fmt.Sprintf("%s.%d", path, n)
		if err := os.Link(path, backup); !errors.Is(err, fs.ErrExist) {
			return backup, err
		}
	}
}
