package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
	path, err := configRules(c.trust).Resolve(path) // the file itself, which is replaced, not a link to it
	if err != nil {
		return std.Written{}, err
	}
	text, err := c.encode()
	if err != nil {
		return std.Written{}, err
	}
	if err := c.readsBack(text); err != nil {
		return std.Written{}, err
	}
	written := std.Written{Filename: path, Size: int64(len(text))}
	before, info, err := configRules(c.trust).ReadFile(path, maxConfig)
	if err != nil {
		return std.Written{}, err
	}
	if bytes.Equal(before, text) {
		return written, nil
	}
	if err := failpoint("before backup"); err != nil {
		return std.Written{}, err
	}
	next, err := sharedfile.Prepare(path, info.Mode().Perm())
	if err != nil {
		return std.Written{}, err
	}
	defer next.Discard()
	if written.Backup, err = backUp(path, before); err != nil {
		return std.Written{}, err
	}
	if err = failpoint("after backup"); err == nil {
		_, err = next.Commit(text)
	}
	if err != nil {
		if there, gone := os.Stat(path); gone == nil && os.SameFile(there, info) {
			_ = os.Remove(written.Backup) // of what is there still
		}
		return std.Written{}, err
	}
	if err := removeOldBackups(path, c.ConfigBackups); err != nil {
		return written, fmt.Errorf("the file is written, and an old backup cannot be removed: %w", err)
	}
	return written, failpoint("after write")
}

// readsBack refuses a text that the daemon would not read as this configuration.
func (c *Config) readsBack(text []byte) error {
	if len(text) > maxConfig {
		return fmt.Errorf("the file would be longer than the %d bytes that the daemon reads; it stays as it is", maxConfig)
	}
	other := defaults()
	other.dir, other.trust = c.dir, c.trust
	_, err := toml.Decode(string(text), other)
	if err == nil {
		err = other.complete()
	}
	if err != nil {
		return fmt.Errorf("the file would be refused at the next start; it stays as it is: %w", err)
	}
	in, err := c.revealed()
	if err != nil {
		return err
	}
	out, err := other.revealed()
	if err == nil && !bytes.Equal(in, out) {
		err = errors.New("the file would not say what is in force; it stays as it is")
	}
	return err
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

// backups returns the numbers of the backups of a file, the oldest first: a higher number is a later one.
func backups(path string) (numbers []int) {
	names, _ := filepath.Glob(globEscaper.Replace(path) + ".[1-9]*")
	for _, name := range names {
		n, err := strconv.Atoi(strings.TrimPrefix(name, path+"."))
		if info, failed := os.Lstat(name); err == nil && failed == nil && info.Mode().IsRegular() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}

var globEscaper = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`)

// removeOldBackups leaves the last backups of a file, so many.
func removeOldBackups(path string, keep int) error {
	numbers := backups(path)
	var err error
	for _, n := range numbers[:max(0, len(numbers)-keep)] {
		err = errors.Join(err, os.Remove(fmt.Sprintf("%s.%d", path, n)))
	}
	return err
}

// backUp gives a file another name as well, the number after that of the last backup. Where the system refuses that, since
// the file belongs to another user, is mounted by itself, or the disk knows no links, it makes a copy with the same owner,
// group, mode and ACL.
func backUp(path string, text []byte) (string, error) {
	n := 1
	if numbers := backups(path); len(numbers) > 0 {
		n = numbers[len(numbers)-1] + 1
	}
	for ; ; n++ {
		backup := fmt.Sprintf("%s.%d", path, n)
		err := os.Link(path, backup)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			err = sharedfile.Copy(backup, text, path)
		}
		if !errors.Is(err, fs.ErrExist) {
			return backup, err
		}
	}
}
