//go:build unix && !aix

package unix

import (
	"slices"
	"strconv"
	"syscall"

	"github.com/rudderpost/rudderpost/transport"
)

// Cred is what the kernel says about a peer: who it was when it connected or, for a daemon, when it
// began to listen. The numbers are those of our own user namespace; a user who has none here is
// 65534, whoever it claims to be in its own.
type Cred struct {
	UID, GID uint32   // effective
	Groups   []uint32 // GID, and all others that the peer is in
	PID      int32    // 0: unknown. For records only: the process may have ended, and its number be reused

	subject string
}

var _ transport.Credential = Cred{}

func newCred(uid, gid uint32, groups []uint32, pid int32) Cred {
	if !slices.Contains(groups, gid) {
		groups = slices.Insert(groups, 0, gid)
	}
	return Cred{UID: uid, GID: gid, Groups: groups, PID: pid, subject: subject(uid)}
}

// Subject implements transport.Credential: "uid:1000".
func (c Cred) Subject() string {
	if c.subject == "" {
		return subject(c.UID) // not made here, but by a test
	}
	return c.subject
}

func subject(uid uint32) string { return "uid:" + strconv.FormatUint(uint64(uid), 10) }

// peerCreds asks the kernel who is at the other end of a socket.
func peerCreds(raw syscall.RawConn) (creds []transport.Credential, err error) {
	failed := raw.Control(func(fd uintptr) { creds, err = askKernel(int(fd)) })
	if failed != nil {
		return nil, failed
	}
	return creds, err
}
