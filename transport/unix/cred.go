//go:build unix && !aix

package unix

import (
	"slices"
	"strconv"
	"syscall"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
	"github.com/rudderpost/rudderpost/transport"
)

// Cred is what the kernel says about a peer: who it was when it connected or, for a daemon, when it
// began to listen. The numbers are those of our own user namespace. Who has none here, whoever it claims
// to be in its own, is 65534 to the kernel and so are all others without one: its subject is "unmapped",
// and groups without a number are left out.
type Cred struct {
	UID, GID uint32   // effective
	Groups   []uint32 // GID, and all others that the peer is in
	PID      int32    // 0: unknown. For records only: the process may have ended, and its number be reused

	subject string
	member  bool // of the group of the socket
}

var _ transport.GroupCredential = Cred{}

// newCred says what the kernel knows of who came through a socket of a group.
func newCred(uid, gid uint32, groups []uint32, pid int32, socket uint32) Cred {
	if !slices.Contains(groups, gid) {
		groups = slices.Insert(groups, 0, gid)
	}
	groups = mapped(groups)
	return Cred{
		UID: uid, GID: gid, Groups: groups, PID: pid, subject: subject(uid),
		member: socket != none && slices.Contains(groups, socket),
	}
}

// Subject implements transport.Credential: "uid:1000".
func (c Cred) Subject() string {
	if c.subject == "" {
		return subject(c.UID) // not made here, but by a test
	}
	return c.subject
}

// GroupIDs implements transport.GroupCredential: it returns Groups.
func (c Cred) GroupIDs() []uint32 { return c.Groups }

// InSocketGroup implements transport.GroupCredential: the peer is in the group that the socket file had
// when the listener opened. Of a daemon that was dialed nobody asks that.
func (c Cred) InSocketGroup() bool { return c.member }

func subject(uid uint32) string {
	if uid == trustedpath.UnmappedUID() && uid != none {
		return "unmapped"
	}
	return "uid:" + strconv.FormatUint(uint64(uid), 10)
}

// peerCreds asks the kernel who is at the other end of a socket, whose file is of a group.
func peerCreds(raw syscall.RawConn, socket uint32) (creds []transport.Credential, err error) {
	failed := raw.Control(func(fd uintptr) { creds, err = askKernel(int(fd), socket) })
	if failed != nil {
		return nil, failed
	}
	return creds, err
}
