// Package trustedpath decides whether a path can be trusted: whether only trusted users can change the file at its
// end, a folder above it, or a symbolic link on the way. A daemon uses it for all files that it reads, runs or makes at its
// start and at a reload.
//
// Trusted users are root, the effective user of this process, and those in Rules.TrustOwners. Each component of the
// path, from / to the last one, is checked in this order:
//
//	component              owner     write permission                                        else
//	folder on the way      trusted   trusted users only, or any with the sticky bit
//	symbolic link          trusted   (its folder decides)                                    at most 40
//	folder to make files   trusted   trusted users only; the sticky bit does not help
//	file                   trusted   trusted users only                                      regular; read permission: Readers
//
// "Trusted users only" means: no write permission for others; and for a group only where each member of it is
// trusted. A group has those members that /etc/group lists, and the users whose primary group it is in /etc/passwd.
// Group 0 is root's. A group that /etc/group does not have is trusted if it is the private group of the process's
// user (the same number, and the process's primary group), and no other is. macOS keeps its groups elsewhere: only
// group 0 is trusted there. On Linux the entries of a POSIX ACL count like the group; other kinds of ACLs are not read.
//
// # What is guaranteed
//
// The check walks from / downwards. When only trusted users may change the names in a folder, no other user can replace the
// next component of the path, neither during the check nor after it. Symbolic links are resolved in this walk. The file is
// opened by the checked path without links, with O_NOFOLLOW. The
// type, owner and mode of the file are those of the opened descriptor (fstat), not of a name. So no user but a
// trusted one can put another file into its place between check and use. Not covered are: a user that was trusted,
// or had write permission, earlier, and still has the file open for writing; a group that a service manager gives to a
// process without an entry in /etc/group; and network file systems whose server changes names by itself.
//
// On Windows and AIX no owner and no mode is checked, only that a file is regular.
package trustedpath

import (
	"fmt"
	"io"
	"os"
)

// A Profile is the purpose of a path.
type Profile uint8

const (
	// State is the profile of code and state: files that the process runs, writes or takes its orders from. The last
	// component must not be a symbolic link, unless Rules.FollowLink is set.
	State Profile = iota

	// Source is the profile of credentials that the process only reads: certificates, keys, and files of users and
	// tokens that another program provides (Kubernetes, certbot). The last component may be a symbolic link. With
	// OwnerOnly, a file that belongs to root, or to a user in TrustOwners, may also be read by its group.
	Source
)

// Readers are the users that may have read permission for a file.
type Readers uint8

// The readers of a file.
const (
	Anyone        Readers = iota // any user
	OwnerOnly                    // its owner: mode 0600. With the profile Source also 0640 and 0440, see there
	OwnerAndGroup                // its owner and its group: mode 0640
)

// Rules say how a path is checked. The zero value is for state that any user may read.
type Rules struct {
	Profile Profile
	Readers Readers

	// FollowLink accepts a symbolic link as the last component with the profile State too. It is for files that are
	// only read or run.
	FollowLink bool

	// Log relaxes the rule for groups where files are only appended to: a folder of root's that a group may write,
	// such as /var/log on Ubuntu, is accepted.
	Log bool

	// MaxLinks is how many hard links a file may have in such a folder. 0: any number.
	MaxLinks int

	// TrustOwners are the ids of users that are trusted in addition to root and the user of this process.
	TrustOwners []uint32
}

// ReadFile opens a file as Open does and reads it. A file that is longer than limit bytes is an error.
func (r Rules) ReadFile(path string, limit int64) ([]byte, os.FileInfo, error) {
	f, info, err := r.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = &Error{Path: path, Component: path, Reason: fmt.Sprintf("it is longer than %d bytes", limit)}
	}
	if err != nil {
		return nil, nil, err
	}
	return text, info, nil
}

// An Error says which component of a path is not trusted, why, and what to do.
type Error struct {
	Path      string // as it was given
	Component string // the folder, symbolic link or file that is not trusted
	Reason    string // names the component and what is wrong with it
	Do        string // what to do: a command line, or advice; may be empty
	Err       error  // fs.ErrPermission where the system refused; else nil
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

func (e *Error) Error() string {
	text := e.Path + ": " + e.Reason
	if e.Do != "" {
		text += "; " + e.Do
	}
	return text
}
