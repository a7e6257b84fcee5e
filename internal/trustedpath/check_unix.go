//go:build unix && !aix

package trustedpath

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// checkFolder checks a folder of the path.
func (r Rules) checkFolder(path string, at *place) error {
	if err := r.checkOwner(path, at.path, at.info, "the folder"); err != nil {
		return err
	}
	if at.info.Mode()&fs.ModeSticky != 0 {
		return nil // only the owner of a file, which is checked next, may replace it
	}
	err := r.checkWriters(path, at.path, at.info, "the folder")
	if err != nil && r.Log && at.info.Mode()&0o002 == 0 && OwnerOf(at.info) == 0 {
		at.wide = at.path
		return nil
	}
	return err
}

// checkLink checks a symbolic link. The permission to replace it belongs to its folder, which has been checked.
func (r Rules) checkLink(path, link string, info fs.FileInfo, last bool) error {
	if last && r.Profile == State && !r.FollowLink {
		return &Error{Path: path, Component: link, Reason: it(path, link, "it", "the file "+link) + " is a symbolic link", Do: "name the file itself"}
	}
	return r.checkOwner(path, link, info, "the symbolic link")
}

// checkFile checks the file at the end of a path, after it was opened.
func (r Rules) checkFile(path string, at *place, info fs.FileInfo) error {
	if err := regular(path, at.path, info); err != nil {
		return err
	}
	if err := r.checkOwner(path, at.path, info, "the file"); err != nil {
		return err
	}
	if err := r.checkWriters(path, at.path, info, "the file"); err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if at.wide != "" && ok && r.MaxLinks > 0 && int64(stat.Nlink) > int64(r.MaxLinks) {
		return &Error{Path: path, Component: at.path,
			Reason: fmt.Sprintf("%s has %d hard links, and a group may write to the folder %s", it(path, at.path, "it", "the file "+at.path), stat.Nlink, at.wide),
			Do:     "remove the other links, or do: chmod g-w " + quote(at.wide)}
	}
	return r.checkReaders(path, at.path, info)
}

// checkReaders refuses a file with secrets that too many users may read.
func (r Rules) checkReaders(path, file string, info fs.FileInfo) error {
	if r.Readers == Anyone {
		return nil
	}
	allowed, fix := fs.FileMode(0), "chmod 600 "
	if r.Readers == OwnerAndGroup {
		fix = "chmod 640 "
	}
	owner := OwnerOf(info)
	if r.Readers == OwnerAndGroup || r.Profile == Source && (owner == 0 || slices.Contains(r.TrustOwners, owner)) {
		allowed = 0o040
	}
	if info.Mode().Perm()&0o077&^allowed == 0 {
		return nil
	}
	return &Error{Path: path, Component: file,
		Reason: fmt.Sprintf("other users may read %s (mode %s)", it(path, file, "it", "the file "+file), mode(info)),
		Do:     "do: " + fix + quote(file) + ", and change the secrets that they may have read"}
}

// checkOwner refuses a component that belongs to a user that is not trusted.
func (r Rules) checkOwner(path, component string, info fs.FileInfo, kind string) error {
	owner := OwnerOf(info)
	if r.trusts(owner) {
		return nil
	}
	self := uint32(os.Geteuid())
	trusted := []string{"root"}
	if self != 0 {
		trusted = append(trusted, fmt.Sprintf("the user %d (this process)", self))
	}
	for _, uid := range r.TrustOwners {
		if uid == 0 || uid == self {
			continue
		}
		trusted = append(trusted, fmt.Sprintf("the user %d", uid))
	}
	verb := " is trusted"
	if len(trusted) > 1 {
		verb = " are trusted"
	}
	reason := fmt.Sprintf("%s belongs to the user %d", it(path, component, "it", kind+" "+component), owner)
	if owner == UnmappedUID() {
		reason += ", the number of all users that this user namespace does not map"
	}
	chown := "chown "
	if kind == "the symbolic link" {
		chown = "chown -h "
	}
	return &Error{Path: path, Component: component,
		Reason: reason + "; only " + strings.Join(trusted, " and ") + verb,
		Do:     fmt.Sprintf("do: %s%d %s, or trust that user with --trust-owner %d", chown, self, quote(component), owner)}
}

// trusts reports whether a user is trusted.
func (r Rules) trusts(uid uint32) bool {
	if slices.Contains(r.TrustOwners, uid) {
		return true
	}
	return uid != UnmappedUID() && (uid == 0 || int64(uid) == int64(os.Geteuid()))
}

// checkWriters refuses a file or folder to which an untrusted user may write.
func (r Rules) checkWriters(path, component string, info fs.FileInfo, kind string) error {
	refuse := func(by, do string) error {
		return &Error{Path: path, Component: component,
			Reason: fmt.Sprintf("%s can be written by %s (mode %s)", it(path, component, "it", kind+" "+component), by, mode(info)), Do: "do: " + do + " " + quote(component)}
	}
	if info.Mode()&0o002 != 0 {
		if info.Mode()&0o020 != 0 {
			return refuse("any user", "chmod go-w")
		}
		return refuse("any user", "chmod o-w")
	}
	if info.Mode()&0o020 == 0 {
		return nil // with an ACL, these bits are its mask, which bounds all its entries but the owner's and others'
	}
	entries, err := readACL(component)
	if err != nil {
		return err
	}
	if entries == nil {
		entries = []aclEntry{{tag: aclGroupObject, write: true}}
	}
	for _, entry := range entries {
		if !entry.write {
			continue
		}
		switch entry.tag {
		case aclUser:
			if !r.trusts(entry.id) {
				return refuse(fmt.Sprintf("the user %d, by its ACL", entry.id), fmt.Sprintf("setfacl -x u:%d", entry.id))
			}
		case aclGroup:
			if why := r.untrustedGroup(entry.id); why != "" {
				return refuse(fmt.Sprintf("the group %d, by its ACL, %s", entry.id, why), fmt.Sprintf("setfacl -x g:%d", entry.id))
			}
		case aclGroupObject:
			if why := r.untrustedGroup(groupOf(info)); why != "" {
				return refuse(fmt.Sprintf("the group %d, %s", groupOf(info), why), "chmod g-w")
			}
		}
	}
	return nil
}

// regular refuses a file that is not regular.
func regular(path, file string, info fs.FileInfo) error {
	var kind string
	switch t := info.Mode().Type(); {
	case t == 0:
		return nil
	case t == fs.ModeDir:
		kind = "a folder"
	case t == fs.ModeNamedPipe:
		kind = "a FIFO"
	case t == fs.ModeSocket:
		kind = "a socket"
	case t == fs.ModeSymlink:
		kind = "a symbolic link"
	case t&fs.ModeDevice != 0:
		kind = "a device"
	default:
		kind = "a special file"
	}
	return &Error{Path: path, Component: file, Reason: it(path, file, "it", "the file "+file) + " is " + kind + " and no regular file"}
}

// it returns short if component is the path itself, and long otherwise.
func it(path, component, short, long string) string {
	if path == component {
		return short
	}
	return long
}

func mode(info fs.FileInfo) string {
	bits := uint32(info.Mode().Perm())
	if info.Mode()&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return fmt.Sprintf("%04o", bits)
}

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// quote writes a path as one word of a shell's command line.
func quote(path string) string {
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@%") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// OwnerOf returns the owner of a file; 1<<32 - 1: unknown.
func OwnerOf(info fs.FileInfo) uint32 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Uid
	}
	return none
}

func groupOf(info fs.FileInfo) uint32 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Gid
	}
	return none
}

// The tags of entries of a POSIX ACL (acl(5)) that can give another user write permission.
const (
	aclUser        = 0x02 // a named user
	aclGroupObject = 0x04 // the file's group
	aclGroup       = 0x08 // a named group
)

// An aclEntry is one entry of an ACL, already bounded by its mask.
type aclEntry struct {
	tag   uint16
	id    uint32 // of a named user or group
	write bool
}
