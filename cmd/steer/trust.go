package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/rudderpost/rudderpost/internal/trustedpath"

	"github.com/spf13/cobra"
)

// trustedOwners collects the values of --trust-owner.
type trustedOwners struct{ uids []uint32 }

// String implements pflag.Value.
func (t *trustedOwners) String() string { return "" }

// Type implements pflag.Value.
func (t *trustedOwners) Type() string { return "UID" }

// Set implements pflag.Value.
func (t *trustedOwners) Set(text string) error {
	uid, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return errors.New("it is not a numeric user id")
	}
	t.uids = append(t.uids, uint32(uid))
	return nil
}

// addFlag adds --trust-owner to a command and its subcommands.
func (t *trustedOwners) addFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().Var(t, "trust-owner", "also accept files and folders of this user; may be repeated (root and the current user are accepted; if root runs steer, so are the owners of the file and its folder)")
}

// forPath returns the users that may own a file or folder: those of --trust-owner, and, if root runs steer, the owner
// of path and the owner of the nearest folder above it that exists. Root often edits files of a daemon that runs as
// another user; root named the path, and new files there get that owner.
func (t *trustedOwners) forPath(path string) []uint32 {
	uids := t.uids[:len(t.uids):len(t.uids)]
	path, err := filepath.Abs(path)
	if os.Geteuid() != 0 || err != nil {
		return uids
	}
	if info, err := os.Stat(path); err == nil {
		uids = append(uids, trustedpath.OwnerOf(info))
	}
	for {
		path = filepath.Dir(path)
		info, err := os.Stat(path)
		if err == nil {
			return append(uids, trustedpath.OwnerOf(info))
		}
		if !errors.Is(err, fs.ErrNotExist) || path == "/" {
			return uids
		}
	}
}
