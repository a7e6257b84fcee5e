package trustedpath

import (
	"encoding/binary"
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// ACLName is the extended attribute that holds the POSIX ACL of a file (xattr(7)).
const ACLName = "system.posix_acl_access"

// readACL returns the ACL of a file; nil: it has none beside its mode, or the file system has no ACLs.
func readACL(path string) ([]aclEntry, error) {
	text := make([]byte, 64<<10) // the kernel's XATTR_SIZE_MAX
	n, err := unix.Lgetxattr(path, ACLName, text)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, &fs.PathError{Op: "read the ACL of", Path: path, Err: err}
	}
	return parseACL(text[:n]), nil
}

// parseACL reads the format of the attribute: a version, 2, and entries of 8 bytes, little endian (linux/posix_acl_xattr.h).
func parseACL(text []byte) (entries []aclEntry) {
	const header, size, mask = 4, 8, 0x10
	for i := header; i+size <= len(text); i += size {
		entries = append(entries, aclEntry{
			tag:   binary.LittleEndian.Uint16(text[i:]),
			write: binary.LittleEndian.Uint16(text[i+2:])&2 != 0,
			id:    binary.LittleEndian.Uint32(text[i+4:]),
		})
	}
	for _, m := range entries {
		if m.tag == mask && !m.write {
			for i := range entries {
				entries[i].write = false
			}
		}
	}
	return entries
}
