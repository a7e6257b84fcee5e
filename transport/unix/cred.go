//go:build unix && !aix

package unix

import (
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
	"github.com/rudderpost/rudderpost/transport"
)

// Cred has the credentials of a peer as the kernel reports them (SO_PEERCRED, LOCAL_PEERCRED). They are those of the
// moment when the peer connected or, for a dialed daemon, when the daemon began to listen. Numbers are those of the
// user namespace of this process. A user without a number in it is 65534, as all other such users are: its subject is
// "unmapped". Groups without a number are left out.
type Cred struct {
	UID, GID uint32   // effective
	Groups   []uint32 // GID and the supplementary groups
	PID      int32    // 0: unknown. For logs only: the process may have ended, and another may have its number

	subject       string
	inSocketGroup bool
}

var _ transport.GroupCredential = Cred{}

// newCred returns the credentials of a peer. socketGroup is the group of the socket file; noID: there is none.
func newCred(uid, gid uint32, groups []uint32, pid int32, socketGroup uint32) Cred {
	if !slices.Contains(groups, gid) {
		groups = slices.Insert(groups, 0, gid)
	}
	groups = withoutUnmapped(groups)
	return Cred{
		UID: uid, GID: gid, Groups: groups, PID: pid, subject: subject(uid),
		inSocketGroup: socketGroup != noID && slices.Contains(groups, socketGroup),
	}
}

// Subject implements transport.Credential: "uid:1000".
func (c Cred) Subject() string {
	if c.subject == "" {
		return subject(c.UID) // newCred has not made c, but a test has
	}
	return c.subject
}

// GroupIDs implements transport.GroupCredential: it returns Groups.
func (c Cred) GroupIDs() []uint32 { return c.Groups }

// InSocketGroup implements transport.GroupCredential. It reports whether the peer is in the group that the socket
// file had when the listener was opened. It is false for a dialed daemon.
func (c Cred) InSocketGroup() bool { return c.inSocketGroup }

// subject returns the subject of a user: "uid:1000", or "unmapped".
func subject(uid uint32) string {
	if uid == trustedpath.UnmappedUID() && uid != noID {
		return "unmapped"
	}
	return "uid:" + strconv.FormatUint(uint64(uid), 10)
}

// peerCreds reads the credentials of the peer of a socket.
func peerCreds(raw syscall.RawConn, socketGroup uint32) (creds []transport.Credential, err error) {
	failed := raw.Control(func(fd uintptr) { creds, err = credsOfFD(int(fd), socketGroup) })
	if failed != nil {
		return nil, failed
	}
	return creds, err
}

// noID is the number of no user and of no group.
const noID = 1<<32 - 1

// groupOfFile returns the group of a file, or noID if the group has no number in this user namespace.
func groupOfFile(info fs.FileInfo) uint32 {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Gid == trustedpath.UnmappedGID() {
		return noID
	}
	return stat.Gid
}

// groupOfSocketAt returns the group of the socket file at an address, or noID if there is no such file.
func groupOfSocketAt(addr net.Addr) uint32 {
	info, err := os.Lstat(addr.String())
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return noID
	}
	return groupOfFile(info)
}

// withoutUnmapped returns the groups without those that have no number in this user namespace.
func withoutUnmapped(groups []uint32) []uint32 {
	unmapped := trustedpath.UnmappedGID()
	if !slices.Contains(groups, unmapped) {
		return groups
	}
	return slices.DeleteFunc(slices.Clone(groups), func(gid uint32) bool { return gid == unmapped })
}
