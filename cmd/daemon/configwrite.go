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

// Write implements std.Configurable. It writes only the daemon's own configuration file.
func (s *settings) Write(ctx context.Context, name string) (written std.Written, err error) {
	if s.d.file == "" {
		return std.Written{}, errNoFile
	}
	if name != "" && name != s.d.file && name != filepath.Base(s.d.file) {
		return std.Written{}, fmt.Errorf("not allowed to write config into %s: the daemon writes its own file only (%s)", name, s.d.file)
	}
	err = s.exclusively(ctx, func() error {
		written, err = writeConfigFile(s.d.file, s.d.current.Load().Config)
		return err
	})
	if err != nil {
		return std.Written{}, fmt.Errorf("Error during config-write: %w", err) // Kea's words
	}
	return written, nil
}

// writeConfigFile writes a configuration to a file. A reader sees either the old or the new file, never a part of one.
// The old file is kept as a backup.
func writeConfigFile(path string, c *Config) (std.Written, error) {
	path, err := configRules(c.trust).Resolve(path) // the file that a symbolic link points to is replaced, not the link
	if err != nil {
		return std.Written{}, err
	}
	text, err := c.encodeTOML()
	if err != nil {
		return std.Written{}, err
	}
	if err := c.checkReadBack(text); err != nil {
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
	if written.Backup, err = makeBackup(path, before); err != nil {
		return std.Written{}, err
	}
	if err = failpoint("after backup"); err == nil {
		_, err = next.Commit(text)
	}
	if err != nil {
		if current, gone := os.Stat(path); gone == nil && os.SameFile(current, info) {
			_ = os.Remove(written.Backup) // the file was not replaced, so it needs no backup
		}
		return std.Written{}, err
	}
	if err := removeOldBackups(path, c.ConfigBackups); err != nil {
		return written, fmt.Errorf("the file is written, and an old backup cannot be removed: %w", err)
	}
	return written, failpoint("after write")
}

// checkReadBack returns an error if the daemon would not read text as this configuration.
func (c *Config) checkReadBack(text []byte) error {
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
	in, err := c.encodeWithSecrets()
	if err != nil {
		return err
	}
	out, err := other.encodeWithSecrets()
	if err == nil && !bytes.Equal(in, out) {
		err = errors.New("the file would differ from the configuration in force; it stays as it is")
	}
	return err
}

// encodeTOML encodes a configuration as TOML, with all keys and its secrets.
func (c *Config) encodeTOML() ([]byte, error) {
	text := bytes.NewBufferString("# Written by config-write. The previous file, with its comments, is in the same directory.\n\n")
	e := toml.NewEncoder(text)
	e.Indent = ""
	if err := e.Encode(c); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// backupNumbers returns the numbers of the backups of a file in ascending order. A higher number is a later backup.
func backupNumbers(path string) (numbers []int) {
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

// removeOldBackups removes all but the last keep backups of a file.
func removeOldBackups(path string, keep int) error {
	numbers := backupNumbers(path)
	var err error
	for _, n := range numbers[:max(0, len(numbers)-keep)] {
		err = errors.Join(err, os.Remove(fmt.Sprintf("%s.%d", path, n)))
	}
	return err
}

// makeBackup makes a hard link to a file, with the number after that of the last backup. If the system refuses the
// link, it makes a copy with the same owner, group, mode and ACL. The system refuses a link if the file belongs to
// another user, is a mount point, or the file system has no links.
func makeBackup(path string, text []byte) (string, error) {
	n := 1
	if numbers := backupNumbers(path); len(numbers) > 0 {
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
