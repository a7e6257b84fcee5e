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

// A trust collects the values of --trust-owner.
type trust struct{ uids []uint32 }

// String implements pflag.Value.
func (t *trust) String() string { return "" }

// Type implements pflag.Value.
func (t *trust) Type() string { return "UID" }

// Set implements pflag.Value.
func (t *trust) Set(text string) error {
	uid, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return errors.New("it is no user id, which is a number")
	}
	t.uids = append(t.uids, uint32(uid))
	return nil
}

// flag adds --trust-owner to a command and those below it.
func (t *trust) flag(cmd *cobra.Command) {
	cmd.PersistentFlags().Var(t, "trust-owner", "accept files and folders of this user too, which may be given more than once (beside root and this user; where root runs this, also the owner of the file and of its folder)")
}

// owners returns the users that are trusted with a file, or with a folder. Where root works on the files of a daemon that
// runs as another user, the file or its folder belongs to that user: root has named it, and what is made there is that
// user's.
func (t *trust) owners(path string) []uint32 {
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
