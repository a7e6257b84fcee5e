package unix_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/unix"
)

const otherID = 12345 // a user and a group of no file and no process here

// credOf accepts a client that c starts, and returns its credential.
func credOf(t *testing.T, l transport.Listener, c *child, path string) unix.Cred {
	t.Helper()
	c.tell(t, "dial %s", path)
	server := accept(t, l)
	send(t, server, `{}`)
	require.NoError(t, server.Close())
	require.Equal(t, "{}", c.answer(t))
	cred, ok := transport.CredAs[unix.Cred](server.Peer())
	require.True(t, ok)
	return cred
}

func TestCredentialsOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		testkit.SkipOrFail(t, "only root can become another user")
	}
	groups := []uint32{otherID + 1}
	for g := range uint32(100) { // more than the first guess has room for
		groups = append(groups, 20000+g)
	}
	c, err := startChild(t, &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: otherID, Gid: otherID, Groups: groups},
	})
	require.NoError(t, err)

	dir := openFolder(t)
	private := filepath.Join(dir, "private.sock")
	listen(t, &unix.Transport{Path: private})
	answer := c.ask(t, "dial %s", private)
	require.Contains(t, answer, "connect: permission denied; the socket's mode")

	public := filepath.Join(dir, "public.sock")
	l := listen(t, &unix.Transport{Path: public, Mode: 0o666})
	cred := credOf(t, l, c, public)
	require.EqualValues(t, otherID, cred.UID)
	require.EqualValues(t, otherID, cred.GID)
	require.EqualValues(t, c.cmd.Process.Pid, cred.PID)
	require.Equal(t, append([]uint32{otherID}, groups...), cred.Groups)
	require.Equal(t, "uid:12345", cred.Subject())

	// And a group's member may, by a group that is not its first.
	shared := filepath.Join(dir, "shared.sock")
	l = listen(t, &unix.Transport{Path: shared, Mode: 0o660, Group: fmt.Sprint(groups[7])})
	require.EqualValues(t, otherID, credOf(t, l, c, shared).UID)
}

// A peer is in the group of the socket by its primary group or by a supplementary group.
func TestPeerInSocketGroup(t *testing.T) {
	if os.Getuid() != 0 {
		testkit.SkipOrFail(t, "only root can become another user")
	}
	c, err := startChild(t, &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: otherID, Gid: otherID, Groups: []uint32{otherID + 1, 65534}},
	})
	require.NoError(t, err)
	dir := openFolder(t)
	for group, in := range map[int]bool{
		otherID: true, otherID + 1: true, otherID + 2: false, 0: false,
		65534: cat("/proc/self/gid_map") == "0 0 4294967295", // in other namespaces a group without a number has this one
	} {
		path := filepath.Join(dir, fmt.Sprint(group))
		l := listen(t, &unix.Transport{Path: path, Mode: 0o666, Group: fmt.Sprint(group)})
		cred := credOf(t, l, c, path)
		require.Equal(t, in, cred.InSocketGroup(), group)
		require.Equal(t, cred.Groups, cred.GroupIDs())
	}

	path := filepath.Join(dir, "passed")
	sock, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path, 0o666))
	require.NoError(t, os.Chown(path, 0, otherID+1))
	l := listen(t, &unix.Transport{Listener: sock})
	require.True(t, credOf(t, l, c, path).InSocketGroup(), "the process that made the socket has chosen its group")

	// In a folder that gives its group to the files that are made in it.
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sgid"), 0o755))
	require.NoError(t, os.Chown(filepath.Join(dir, "sgid"), 0, otherID))
	require.NoError(t, os.Chmod(filepath.Join(dir, "sgid"), 0o755|os.ModeSetgid))
	path = filepath.Join(dir, "sgid", "x.sock")
	l = listen(t, &unix.Transport{Path: path, Mode: 0o666})
	require.True(t, credOf(t, l, c, path).InSocketGroup(), "the group is the one on disk")
}

// A user that is root in its own user namespace is not root: see containerd, CVE-2020-15257.
func TestRootOfAnotherUserNamespaceIsNotRoot(t *testing.T) {
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = otherID, otherID
	}
	c, err := startChild(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}},
		Credential:  &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: true},
	})
	if err != nil {
		testkit.SkipOrFail(t, "user namespaces are not permitted: %s", err.Error())
	}
	require.Equal(t, "0", c.ask(t, "uid"), "it is root where it is")

	path := filepath.Join(openFolder(t), "x.sock")
	l := listen(t, &unix.Transport{Path: path, Mode: 0o666})
	cred := credOf(t, l, c, path)
	require.EqualValues(t, uid, cred.UID)
	require.NotEqual(t, "uid:0", cred.Subject())
}

// Descriptors that a client sends are ignored.
func TestSentDescriptorsAreDropped(t *testing.T) {
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	client := dialPlain(t, path, "")
	defer func() { require.NoError(t, client.Close()) }()
	server := accept(t, l)

	fds := make([]int, 250)
	for i := range fds {
		fds[i] = int(os.Stdin.Fd())
	}
	before := openFiles(t)
	for range 20 {
		_, _, err := client.WriteMsgUnix([]byte(`{"take":"these"}`), syscall.UnixRights(fds...), nil)
		require.NoError(t, err)
		require.Equal(t, `{"take":"these"}`, receive(t, server))
		require.Equal(t, before, openFiles(t))
	}
}

// cat returns the words of a file.
func cat(path string) string {
	text, _ := os.ReadFile(path)
	return strings.Join(strings.Fields(string(text)), " ")
}
