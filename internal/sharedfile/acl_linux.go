package sharedfile

import (
	"errors"
	"os"

	"github.com/rudderpost/rudderpost/internal/trustedpath"

	"golang.org/x/sys/unix"
)

// copyACL gives f the ACL of the file at path. If that file has none, it removes the ACL that f has inherited from
// its folder.
func copyACL(f *os.File, path string) error {
	text := make([]byte, 64<<10) // the kernel's XATTR_SIZE_MAX
	n, err := unix.Lgetxattr(path, trustedpath.ACLName, text)
	switch {
	case err == nil:
		return unix.Fsetxattr(int(f.Fd()), trustedpath.ACLName, text[:n], 0)
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP):
		err = unix.Fremovexattr(int(f.Fd()), trustedpath.ACLName)
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
			err = nil
		}
	}
	return err
}
