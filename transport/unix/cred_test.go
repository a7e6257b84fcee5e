//go:build linux || darwin || freebsd

package unix_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/unix"
)

// Both sides have the credentials of the other side.
func TestBothSidesHaveCredentials(t *testing.T) {
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	client := dial(t, path)
	server := accept(t, l)
	for _, c := range []transport.Conn{client, server} {
		peer := c.Peer()
		require.Equal(t, "unix", peer.Transport)
		require.Equal(t, path, peer.Addr.String())
		require.Len(t, peer.Creds, 1)
		cred, ok := transport.CredAs[unix.Cred](peer)
		require.True(t, ok)
		requireOurs(t, cred)
	}
	require.NotEqual(t, client.Peer().Session, server.Peer().Session)
	require.Regexp(t, `^unix-\d+$`, server.Peer().Session)
}

func requireOurs(t *testing.T, cred unix.Cred) {
	t.Helper()
	require.EqualValues(t, os.Geteuid(), cred.UID)
	require.EqualValues(t, os.Getegid(), cred.GID)
	groups := []uint32{uint32(os.Getegid())}
	ours, err := os.Getgroups()
	require.NoError(t, err)
	for _, g := range ours {
		groups = append(groups, uint32(g))
	}
	require.Subset(t, cred.Groups, groups)
	require.Subset(t, groups, cred.Groups)
	if runtime.GOOS != "freebsd" {
		require.EqualValues(t, os.Getpid(), cred.PID)
	}
}

func TestSubjectOfCred(t *testing.T) {
	require.Equal(t, "uid:1000", unix.Cred{UID: 1000}.Subject())
	require.Equal(t, "uid:4294967295", unix.Cred{UID: 4294967295}.Subject())

	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	dial(t, path)
	cred := accept(t, l).Peer().Creds[0]
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = cred.Subject() }))
}

// The name to which a client binds its own socket has no effect: see snapd, CVE-2019-7304.
func TestBoundNameOfClientIsIgnored(t *testing.T) {
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	plain := dialPlain(t, path, filepath.Join(t.TempDir(), "x;uid=0;gid=0;pid=1;"))
	defer func() { require.NoError(t, plain.Close()) }()
	server := accept(t, l)
	require.Equal(t, path, server.Peer().Addr.String())
	require.Len(t, server.Peer().Creds, 1)
	cred, _ := transport.CredAs[unix.Cred](server.Peer())
	requireOurs(t, cred)
}
