//go:build unix && !aix

package trustedpath

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// The databases of groups and users. Tests replace them.
var groupFile, passwdFile = "/etc/group", "/etc/passwd"

// untrustedGroup returns why not all members of a group are trusted, as the end of "the group 50, …"; empty: all are.
func (r Rules) untrustedGroup(gid uint32) string {
	if gid == 0 {
		return ""
	}
	if gid == UnmappedGID() {
		return "the number of all groups that this user namespace does not map"
	}
	const unknown = "whose members are not known"
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return unknown // the files are not what the system uses
	}
	members, listed := groupMembers(gid)
	if private := int64(gid) == int64(os.Getegid()) && int64(gid) == int64(os.Geteuid()); !listed && !private {
		return unknown
	}
	for _, m := range members {
		if !m.known || !r.trusts(m.uid) {
			return fmt.Sprintf("of which %s is a member", m.name)
		}
	}
	return ""
}

// A member is a user of a group.
type member struct {
	name  string
	uid   uint32
	known bool // the name is in the passwd file
}

// groupMembers returns the members of a group, and whether the group file has the group.
func groupMembers(gid uint32) (members []member, listed bool) {
	uids := map[string]uint32{}
	for _, fields := range database(passwdFile, 4) { // name:password:uid:gid:…
		uid, err := strconv.ParseUint(fields[2], 10, 32)
		if err != nil {
			continue
		}
		uids[fields[0]] = uint32(uid)
		if fields[3] == number(gid) {
			members = append(members, member{fields[0], uint32(uid), true})
		}
	}
	for _, fields := range database(groupFile, 4) { // name:password:gid:members
		if fields[2] != number(gid) {
			continue
		}
		listed = true
		for name := range strings.SplitSeq(fields[3], ",") {
			if name = strings.TrimSpace(name); name != "" {
				uid, known := uids[name]
				members = append(members, member{name, uid, known})
			}
		}
	}
	return members, listed
}

// database returns the lines of a file in the format of passwd(5), split into fields, at least n of them.
func database(path string, n int) (lines [][]string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Split(strings.TrimRight(line, "\r\n"), ":"); len(fields) >= n {
			lines = append(lines, fields)
		}
	}
	return lines
}
