package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

func TestUnreachableGroupSocketIsWarnedAbout(t *testing.T) {
	dir := testkit.ShortDir(t)
	const forGroup = "state-dir = \"run\"\n[[listen]]\ntransport = \"unix\"\npath = \"run/control.sock\"\nmode = \"0660\"\n"
	p := startIn(t, dir, forGroup)
	_, gid, err := modeAndGroup(filepath.Join(dir, "run"))
	require.NoError(t, err)
	warning := "listen 1: mode 0660 lets the group " + groupName(gid) + " connect, but the folder " + dir + "/run (mode 0700, group " +
		groupName(gid) + ") keeps it out; do chmod g+x on the folder, or choose another path"
	testkit.Eventually(t, func() bool { return strings.Contains(p.Err.String(), warning) }, "there is no warning")
	require.NoError(t, os.Chmod(filepath.Join(dir, "run"), 0o710))
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
	require.Equal(t, 1, strings.Count(p.Err.String(), "keeps it out"))
	p.stop()

	p = startIn(t, dir, forGroup) // such a state-dir is accepted
	require.Equal(t, wire.CodeSuccess, p.command("version-get", "").Code)
	p.stop()
	require.NotContains(t, p.Err.String(), "keeps it out")
}

func TestUnreachableWarningOnlyWhenCertain(t *testing.T) {
	own, other := os.Getegid(), 54321
	for _, c := range []struct {
		name   string
		socket fs.FileMode
		folder fs.FileMode
		group  int // the group of the socket
		want   string
	}{
		{"the owner's socket", 0o600, 0o700, own, ""},
		{"a folder with g+x", 0o660, 0o710, own, ""},
		{"a folder that only lists", 0o660, 0o740, own, "keeps it out; do chmod g+x on the folder"},
		{"a folder of another group", 0o660, 0o700, other, "keeps it out; do chgrp 54321 and chmod g+x on the folder"},
		{"a folder of another group with g+x", 0o660, 0o710, other, ""}, // a group with g+x may have the same members
		{"a folder of another group with o+x", 0o660, 0o701, other, ""},
		{"a socket that the group can only read", 0o640, 0o700, own, ""},
		{"a socket for all", 0o666, 0o710, own, "mode 0666 lets all users connect, but the folder FOLDER (mode 0710, group "},
		{"a socket and a folder for all", 0o666, 0o711, own, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.group == other && os.Geteuid() != 0 {
				t.Skip("this test needs root: it gives a file to another group")
			}
			dir := testkit.ShortDir(t)
			folder := filepath.Join(dir, "a", "b")
			require.NoError(t, os.MkdirAll(folder, 0o755))
			path := filepath.Join(folder, "socket")
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.NoError(t, os.Chown(path, -1, c.group))
			require.NoError(t, os.Chown(filepath.Join(dir, "a"), -1, own))
			require.NoError(t, os.Chmod(filepath.Join(dir, "a"), c.folder))
			l := &Listen{Transport: "unix", path: path, permissions: c.socket}
			got := strings.ReplaceAll(l.unreachableWarning(), filepath.Join(dir, "a"), "FOLDER")
			if c.want == "" {
				require.Empty(t, got)
				return
			}
			require.Contains(t, got, c.want)
			require.Contains(t, got, "the folder FOLDER (mode 0"+strconv.FormatUint(uint64(c.folder), 8))
		})
	}
	require.Empty(t, (&Listen{Transport: "unix", Socket: "passed"}).unreachableWarning())
	require.Empty(t, (&Listen{Transport: "tcp"}).unreachableWarning())
}
