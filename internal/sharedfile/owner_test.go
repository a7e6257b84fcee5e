//go:build linux

package sharedfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/internal/sharedfile"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/trustedpath"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// acl is what setfacl -m u:4711:r makes of a file with mode 0640.
var acl = []byte{2, 0, 0, 0,
	1, 0, 6, 0, 255, 255, 255, 255, // user::rw-
	2, 0, 4, 0, 0x67, 0x12, 0, 0, // user:4711:r--
	4, 0, 4, 0, 255, 255, 255, 255, // group::r--
	16, 0, 4, 0, 255, 255, 255, 255, // mask::r--
	32, 0, 0, 0, 255, 255, 255, 255} // other::---

func setACL(t *testing.T, path, name string) {
	t.Helper()
	if err := unix.Setxattr(path, name, acl, 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("no ACLs on this file system")
	} else {
		require.NoError(t, err)
	}
}

func getACL(t *testing.T, path string) []byte {
	t.Helper()
	text := make([]byte, 1000)
	n, err := unix.Getxattr(path, trustedpath.ACLName, text)
	if errors.Is(err, unix.ENODATA) {
		return nil
	}
	require.NoError(t, err)
	return text[:n]
}

func TestReplacedFileKeepsOwnerGroupModeAndACL(t *testing.T) {
	testkit.NeedRoot(t)
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("before"), 0o640))
	require.NoError(t, os.Chown(path, 1000, 50))
	_, err := sharedfile.Replace(path, []byte("after"), 0o600)
	require.NoError(t, err)
	require.Equal(t, "1000:50 0640", testkit.OwnerAndMode(t, path))
	require.Nil(t, getACL(t, path))
	setACL(t, path, trustedpath.ACLName)
	_, err = sharedfile.Replace(path, []byte("later"), 0o600)
	require.NoError(t, err)
	require.Equal(t, "1000:50 0640", testkit.OwnerAndMode(t, path))
	require.Equal(t, acl, getACL(t, path))
	require.NoError(t, sharedfile.Copy(path+".1", []byte("copy"), path))
	require.Equal(t, "1000:50 0640", testkit.OwnerAndMode(t, path+".1"))
	require.Equal(t, acl, getACL(t, path+".1"))
	require.ErrorIs(t, sharedfile.Copy(path+".1", nil, path), fs.ErrExist)
}

// The default ACL of a folder gives no user access to a file that had none.
func TestReplacedFileTakesNoACLOfItsFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Chmod(path, 0o640))
	setACL(t, dir, "system.posix_acl_default")
	_, err := sharedfile.Replace(path, []byte("x"), 0o600)
	require.NoError(t, err)
	require.Nil(t, getACL(t, path))
}

func TestNewFileOfRootTakesOwnerOfItsFolder(t *testing.T) {
	testkit.NeedRoot(t)
	dir := t.TempDir()
	require.NoError(t, os.Chown(dir, 1000, 50))
	_, err := sharedfile.Replace(dir+"/replaced", nil, 0o644)
	require.NoError(t, err)
	require.NoError(t, sharedfile.Create(dir+"/created", []byte("x"), 0o600))
	unlock, err := sharedfile.Lock(dir+"/lock", trustedpath.Rules{TrustOwners: []uint32{1000}})
	require.NoError(t, err)
	unlock()
	require.Equal(t, "1000:50 0644", testkit.OwnerAndMode(t, dir+"/replaced"))
	require.Equal(t, "1000:50 0600", testkit.OwnerAndMode(t, dir+"/created"))
	require.Equal(t, "1000:50 0600", testkit.OwnerAndMode(t, dir+"/lock"))
	require.ErrorIs(t, sharedfile.Create(dir+"/created", nil, 0o600), fs.ErrExist)
}

// inHelper runs a test of this binary again, as another user or in another namespace. It returns its output.
func inHelper(t *testing.T, dir string, change func(*exec.Cmd)) string {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	program := filepath.Join(dir, "test")
	require.NoError(t, os.WriteFile(program, self, 0o755))
	cmd := exec.Command(program, "-test.run=^"+t.Name()+"$")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "SHAREDFILE_HELPER="+dir)
	change(cmd)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

func TestOwnerThatCannotBeKeptIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	if dir := os.Getenv("SHAREDFILE_HELPER"); dir != "" {
		path := filepath.Join(dir, "sub", "file")
		steps := ""
		sharedfile.Step = func(step string) error { steps += step + " "; return nil }
		_, err := sharedfile.Replace(path, []byte("after"), 0o600)
		fmt.Printf("%v|%s|%v\n", err, steps, sharedfile.Check(path) != nil)
		return
	}
	testkit.NeedRoot(t)
	dir := testkit.ShortDir(t)
	sub := filepath.Join(dir, "sub")
	require.NoError(t, os.Mkdir(sub, 0o700))
	require.NoError(t, os.WriteFile(sub+"/file", []byte("before"), 0o644))
	require.NoError(t, os.Chown(sub+"/file", 1000, 50))
	require.NoError(t, os.Chown(sub, 4711, 4711))
	out := inHelper(t, dir, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4711, Gid: 4711}}
	})
	require.Equal(t, "replace "+sub+"/file: it belongs to the user 1000 and the group 50, which the user 4711 cannot give to a new file (operation not permitted); "+
		"work as root, or as that user (sudo -u '#1000' …)||true\nPASS\n", out)
	entries, err := os.ReadDir(sub)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "1000:50 0644", testkit.OwnerAndMode(t, sub+"/file"))
}

// A file that is mounted by itself, as docker run -v FILE:FILE does, is written in place.
func TestBindMountedFileIsRewrittenInPlace(t *testing.T) {
	if dir := os.Getenv("SHAREDFILE_HELPER"); dir != "" {
		path := filepath.Join(dir, "config")
		if err := syscall.Mount(filepath.Join(dir, "outside"), path, "", syscall.MS_BIND, ""); err != nil {
			fmt.Println("cannot mount:", err)
			return
		}
		if err := os.Rename(path, path+".x"); !errors.Is(err, syscall.EBUSY) {
			fmt.Println("not busy:", err)
		}
		before, err := os.Stat(path)
		fmt.Println(err)
		copied := ""
		sharedfile.Step = func(step string) error {
			if step == "rewrite" {
				text, err := os.ReadFile(path + sharedfile.BackupSuffix)
				copied = fmt.Sprint(string(text), err, testkit.OwnerAndMode(t, path+sharedfile.BackupSuffix))
			}
			return nil
		}
		info, err := sharedfile.Replace(path, []byte("after"), 0o600)
		fmt.Println(os.SameFile(info, before), err, copied)
		return
	}
	testkit.NeedRoot(t)
	dir := testkit.ShortDir(t)
	require.NoError(t, os.WriteFile(dir+"/outside", []byte("the longer text before"), 0o640))
	require.NoError(t, os.Chown(dir+"/outside", 1000, 50))
	require.NoError(t, os.WriteFile(dir+"/config", nil, 0o600))
	out := inHelper(t, dir, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	})
	if strings.Contains(out, "cannot mount") {
		t.Skip(out)
	}
	require.Equal(t, "<nil>\ntrue <nil> the longer text before<nil>1000:50 0640\nPASS\n", out)
	text, err := os.ReadFile(dir + "/outside")
	require.NoError(t, err)
	require.Equal(t, "after", string(text))
	require.Equal(t, "1000:50 0640", testkit.OwnerAndMode(t, dir+"/outside"))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 3, "outside, config and the test's program; the copy is gone")
}

// A rewrite that fails leaves the file unchanged, or leaves its copy.
func TestInterruptedRewriteLeavesACopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("before"), 0o600))
	t.Cleanup(func() { sharedfile.Step = func(string) error { return nil } })
	broken := 0
	sharedfile.Step = func(step string) error {
		switch {
		case step == "rename":
			return syscall.EBUSY
		case step == "rewrite" && broken > 0:
			broken--
			return syscall.ENOSPC
		}
		return nil
	}
	_, err := sharedfile.Replace(path, []byte("after"), 0o600)
	require.NoError(t, err)
	read := func(path string) string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	require.Equal(t, "after", read(path))

	broken = 1
	_, err = sharedfile.Replace(path, []byte("never"), 0o600)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, "after", read(path))
	require.NoFileExists(t, path+sharedfile.BackupSuffix)

	broken = 2
	_, err = sharedfile.Replace(path, []byte("never"), 0o600)
	require.ErrorContains(t, err, path+" may be damaged: ")
	require.ErrorContains(t, err, "what it was before is in "+path+".before")
	require.Equal(t, "after", read(path+sharedfile.BackupSuffix))

	_, err = sharedfile.Replace(path, []byte("never"), 0o600)
	require.ErrorContains(t, err, path+".before is there, so an earlier change of "+path+" was interrupted")
	require.NoError(t, os.Remove(path+sharedfile.BackupSuffix))
	require.NoError(t, os.Link(path, path+".2"))
	_, err = sharedfile.Replace(path, []byte("never"), 0o600)
	require.ErrorContains(t, err, "it has 2 hard links, which would change too; it is mounted by itself, so it cannot be replaced: mount its folder instead")
}
