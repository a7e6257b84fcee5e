package main

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// keptOut returns a warning if the mode of a UNIX socket lets a group or all users connect, and a folder above it does
// not let them reach it. Otherwise it returns "". It warns only where the kernel refuses every process of that group that
// does not run as root or as the folder's owner.
func (l *Listen) keptOut() string {
	if l.Transport != "unix" || l.path == "" {
		return ""
	}
	_, group, err := modeAndGroup(l.path)
	if err != nil {
		return ""
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(l.path))
	if err != nil {
		return ""
	}
	const connect = 0o2 // write permission, which connect(2) needs
	forAll, forGroup := l.permissions&connect != 0, l.permissions&(connect<<3) != 0
	name := groupName(group)
	for ; ; folder = filepath.Dir(folder) {
		mode, owner, err := modeAndGroup(folder)
		if err != nil {
			return ""
		}
		at := fmt.Sprintf("the folder %s (mode %04o, group %s)", folder, mode, groupName(owner))
		switch {
		case forAll && mode&0o001 == 0:
			return fmt.Sprintf("mode %04o lets all users connect, but %s keeps them out; do chmod o+x on the folder, or choose another path",
				l.permissions, at)
		case forGroup && owner == group && mode&0o010 == 0:
			return fmt.Sprintf("mode %04o lets the group %s connect, but %s keeps it out; do chmod g+x on the folder, or choose another path",
				l.permissions, name, at)
		case forGroup && owner != group && mode&0o011 == 0: // with g+x, it depends on the members, and on an ACL
			return fmt.Sprintf("mode %04o lets the group %s connect, but %s keeps it out; do chgrp %[2]s and chmod g+x on the folder, or choose another path",
				l.permissions, name, at)
		}
		if folder == filepath.Dir(folder) {
			return ""
		}
	}
}

// modeAndGroup returns the permissions and the group of a file.
func modeAndGroup(path string) (mode os.FileMode, gid uint32, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, &os.PathError{Op: "stat", Path: path, Err: syscall.ENOSYS}
	}
	return info.Mode().Perm(), stat.Gid, nil
}

// groupName returns the name of a group, or its number if it has no name.
func groupName(gid uint32) string {
	number := strconv.FormatUint(uint64(gid), 10)
	g, err := user.LookupGroupId(number)
	if err != nil {
		return number
	}
	return cmp.Or(g.Name, number)
}
