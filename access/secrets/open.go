package secrets

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// maxSize is how long a file may be: some ten thousand users.
const maxSize = 1 << 20

// rules say which files of secrets are used: those that only trusted users can change, and other users cannot read. The
// file may be provided by another program: a symbolic link, and readable by the group of root's file.
func rules(trustOwners []uint32) trustedpath.Rules {
	return trustedpath.Rules{Profile: trustedpath.Source, Readers: trustedpath.OwnerOnly, TrustOwners: trustOwners}
}

// lockRules say which lock file is used.
func lockRules(trustOwners []uint32) trustedpath.Rules {
	return trustedpath.Rules{TrustOwners: trustOwners}
}

// readAll reads an opened file.
func readAll(path string, f io.Reader) (string, error) {
	var text strings.Builder
	n, err := io.Copy(&text, io.LimitReader(f, maxSize+1))
	if err == nil && n > maxSize {
		err = errTooLong(path)
	}
	return text.String(), err
}

func errTooLong(path string) error {
	return fault(path, "it is longer than %d KiB", maxSize>>10)
}

// writable refuses to change a file that another program provides.
func writable(path string) error {
	const advice = "it is a read-only source: change it where it comes from, such as the Kubernetes Secret"
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case info.Mode().Type() == fs.ModeSymlink:
		return fault(path, "it is a symbolic link, so %s", advice)
	case info.Mode().Perm()&0o200 == 0:
		return fault(path, "its owner may not write to it (mode %04o), so %s; or do: chmod u+w %[3]s", info.Mode().Perm(), advice, path)
	}
	return nil
}

// fault says what is wrong with a file.
func fault(path, format string, args ...any) error {
	return &fs.PathError{Op: "use", Path: path, Err: fmt.Errorf(format, args...)}
}
