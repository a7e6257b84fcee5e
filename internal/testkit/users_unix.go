//go:build unix

package testkit

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Unprivileged is the user id and the group id of the user that has no rights: nobody, on Debian.
const Unprivileged = 65534

// RunUnprivileged makes cmd run as the user Unprivileged, if the test runs as root. Without root's rights it changes
// nothing.
func RunUnprivileged(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if os.Geteuid() == 0 {
		RunAs(t, cmd, Unprivileged)
	}
}

// RunAs makes cmd run with uid as its user id and its group id, which needs root. The program is copied to a directory
// that every user may enter, since other users cannot reach the program of a test. cmd.Dir is given to the user, if it is
// set.
func RunAs(t testing.TB, cmd *exec.Cmd, uid int) {
	t.Helper()
	text, err := os.ReadFile(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(ShortDir(t), filepath.Base(cmd.Path))
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	if cmd.Dir != "" {
		if err := os.Chown(cmd.Dir, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Path = path
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
}

// OwnerAndMode returns owner, group and permissions of a file, as "1000:50 0640". It does not follow a symbolic link.
func OwnerAndMode(t testing.TB, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d %04o", stat.Uid, stat.Gid, info.Mode().Perm())
}

// ChownAll gives a file, or a directory with everything in it, to a user and a group. It does not follow symbolic links.
func ChownAll(t testing.TB, path string, uid, gid int) {
	t.Helper()
	err := filepath.WalkDir(path, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, uid, gid)
	})
	if err != nil {
		t.Fatal(err)
	}
}
