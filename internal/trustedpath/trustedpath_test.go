//go:build unix && !aix

package trustedpath

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

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// kinds are the kinds of files that a daemon opens, with the rules that it opens them with.
var kinds = map[string]Rules{
	"configuration file":    {FollowLink: true},
	"config.key, quic.keys": {Readers: OwnerOnly},
	"key of a CA":           {Readers: OwnerOnly},
	"lock file":             {},
	"log file":              {Log: true},
	"audit file":            {Readers: OwnerAndGroup, Log: true},
	"certificate, CRL":      {Profile: Source},
	"key, users, tokens":    {Profile: Source, Readers: OwnerOnly},
	"hook program":          {FollowLink: true},
}

// A site is a path dir/above/folder/file, of which each component can be made bad.
type site struct{ dir, above, folder, file string }

func newSite(t *testing.T) site {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	s := site{dir, filepath.Join(dir, "above"), filepath.Join(dir, "above", "folder"), filepath.Join(dir, "above", "folder", "file")}
	require.NoError(t, os.MkdirAll(s.folder, 0o755))
	require.NoError(t, os.WriteFile(s.file, []byte("text"), 0o600))
	return s
}

// chmod sets a mode, whatever the umask is.
func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	require.NoError(t, os.Chmod(path, mode))
}

// TestEachKindOfFileWithEachBadComponentIsRefused names the component and what to do.
func TestEachKindOfFileWithEachBadComponentIsRefused(t *testing.T) {
	testkit.NeedRoot(t)
	for _, bad := range []struct {
		name  string
		spoil func(t *testing.T, s site)
		says  string // FOLDER, ABOVE, FILE and DIR are paths; "": accepted
		but   map[string]string
	}{
		{"good", func(*testing.T, site) {}, "", nil},
		{"owner of the file", func(t *testing.T, s site) { require.NoError(t, os.Chown(s.file, 1000, 50)) },
			"FILE: it belongs to the user 1000; only root is trusted; do: chown 0 FILE, or trust that user with --trust-owner 1000", nil},
		{"owner of the folder", func(t *testing.T, s site) { require.NoError(t, os.Chown(s.folder, 1000, 0)) },
			"FILE: the folder FOLDER belongs to the user 1000; only root is trusted; do: chown 0 FOLDER, or trust that user with --trust-owner 1000", nil},
		{"owner of a folder above", func(t *testing.T, s site) { require.NoError(t, os.Chown(s.above, 1000, 0)) },
			"FILE: the folder ABOVE belongs to the user 1000; only root is trusted; do: chown 0 ABOVE, or trust that user with --trust-owner 1000", nil},
		{"file that others write", func(t *testing.T, s site) { chmod(t, s.file, 0o602) },
			"FILE: it can be written by any user (mode 0602); do: chmod o-w FILE", nil},
		{"file that a group writes", func(t *testing.T, s site) {
			require.NoError(t, os.Chown(s.file, 0, 4711))
			chmod(t, s.file, 0o620)
		}, "FILE: it can be written by the group 4711, whose members are not known (mode 0620); do: chmod g-w FILE", nil},
		{"folder that others write", func(t *testing.T, s site) { chmod(t, s.folder, 0o757) },
			"FILE: the folder FOLDER can be written by any user (mode 0757); do: chmod o-w FOLDER", nil},
		{"folder above that others write", func(t *testing.T, s site) { chmod(t, s.above, 0o777) },
			"FILE: the folder ABOVE can be written by any user (mode 0777); do: chmod go-w ABOVE", nil},
		{"folder that others write, with the sticky bit", func(t *testing.T, s site) { chmod(t, s.folder, 0o777|fs.ModeSticky) }, "", nil},
		{"folder that a group writes", func(t *testing.T, s site) {
			require.NoError(t, os.Chown(s.folder, 0, 4711))
			chmod(t, s.folder, 0o775)
		}, "FILE: the folder FOLDER can be written by the group 4711, whose members are not known (mode 0775); do: chmod g-w FOLDER",
			map[string]string{"log file": "", "audit file": ""}},
		{"folder that group 0 writes", func(t *testing.T, s site) { chmod(t, s.folder, 0o775) }, "", nil},
		{"symbolic link in place of the file", func(t *testing.T, s site) {
			require.NoError(t, os.Rename(s.file, s.file+".real"))
			require.NoError(t, os.Symlink("file.real", s.file))
		}, "", map[string]string{
			"config.key, quic.keys": "FILE: it is a symbolic link; name the file itself", "key of a CA": "FILE: it is a symbolic link; name the file itself",
			"lock file": "FILE: it is a symbolic link; name the file itself", "log file": "FILE: it is a symbolic link; name the file itself",
			"audit file": "FILE: it is a symbolic link; name the file itself",
		}},
		{"symbolic link of another user", func(t *testing.T, s site) {
			require.NoError(t, os.Rename(s.folder, s.folder+".real"))
			require.NoError(t, os.Symlink("folder.real", s.folder))
			require.NoError(t, os.Lchown(s.folder, 1000, 0))
		}, "FILE: the symbolic link FOLDER belongs to the user 1000; only root is trusted; do: chown -h 0 FOLDER, or trust that user with --trust-owner 1000", nil},
		{"symbolic link into a folder of another user", func(t *testing.T, s site) {
			require.NoError(t, os.Mkdir(s.dir+"/theirs", 0o755))
			require.NoError(t, os.Rename(s.folder, s.dir+"/theirs/folder"))
			require.NoError(t, os.Chown(s.dir+"/theirs", 1000, 0))
			require.NoError(t, os.Symlink("../theirs/folder", s.folder))
		}, "FILE: the folder DIR/theirs belongs to the user 1000; only root is trusted; do: chown 0 DIR/theirs, or trust that user with --trust-owner 1000", nil},
		{"absolute symbolic link of root's", func(t *testing.T, s site) {
			require.NoError(t, os.Rename(s.folder, s.dir+"/elsewhere"))
			require.NoError(t, os.Symlink(s.dir+"/elsewhere", s.folder))
		}, "", nil},
		{"symbolic links in a circle", func(t *testing.T, s site) {
			require.NoError(t, os.RemoveAll(s.folder))
			require.NoError(t, os.Symlink("folder", s.folder))
		}, "open FILE: too many levels of symbolic links", nil},
		{"FIFO", func(t *testing.T, s site) {
			require.NoError(t, os.Remove(s.file))
			require.NoError(t, syscall.Mkfifo(s.file, 0o600))
		}, "FILE: it is a FIFO and no regular file", nil},
		{"device", func(t *testing.T, s site) {
			require.NoError(t, os.Remove(s.file))
			if err := syscall.Mknod(s.file, syscall.S_IFCHR|0o600, 1<<8|5); err != nil { // /dev/zero on Linux
				t.Skip("no device can be made here: ", err)
			}
		}, "FILE: it is a device and no regular file", nil},
		{"folder in place of the file", func(t *testing.T, s site) {
			require.NoError(t, os.Remove(s.file))
			require.NoError(t, os.Mkdir(s.file, 0o700))
		}, "FILE: it is a folder and no regular file", nil},
		{"file in place of the folder", func(t *testing.T, s site) {
			require.NoError(t, os.RemoveAll(s.folder))
			require.NoError(t, os.WriteFile(s.folder, nil, 0o600))
		}, "open FOLDER: not a directory", nil},
		{"file that others read", func(t *testing.T, s site) { chmod(t, s.file, 0o644) }, "", map[string]string{
			"config.key, quic.keys": "FILE: other users may read it (mode 0644); do: chmod 600 FILE, and change the secrets that they may have read",
			"key of a CA":           "FILE: other users may read it (mode 0644); do: chmod 600 FILE, and change the secrets that they may have read",
			"key, users, tokens":    "FILE: other users may read it (mode 0644); do: chmod 600 FILE, and change the secrets that they may have read",
			"audit file":            "FILE: other users may read it (mode 0644); do: chmod 640 FILE, and change the secrets that they may have read",
		}},
		{"file that the group reads", func(t *testing.T, s site) { chmod(t, s.file, 0o640) }, "", map[string]string{
			"config.key, quic.keys": "FILE: other users may read it (mode 0640); do: chmod 600 FILE, and change the secrets that they may have read",
			"key of a CA":           "FILE: other users may read it (mode 0640); do: chmod 600 FILE, and change the secrets that they may have read",
		}},
		{"no file", func(t *testing.T, s site) { require.NoError(t, os.Remove(s.file)) }, "open FILE: no such file or directory", nil},
	} {
		t.Run(bad.name, func(t *testing.T) {
			for kind, rules := range kinds {
				s := newSite(t)
				bad.spoil(t, s)
				want, special := bad.but[kind]
				if !special {
					want = bad.says
				}
				want = strings.NewReplacer("FILE", s.file, "FOLDER", s.folder, "ABOVE", s.above, "DIR", s.dir).Replace(want)
				text, _, err := rules.ReadFile(s.file, 100)
				if want == "" {
					require.NoError(t, err, kind)
					require.Equal(t, "text", string(text), kind)
				} else {
					require.EqualError(t, err, want, kind)
				}
				if checked := rules.Check(s.file); want == "" {
					require.NoError(t, checked, kind)
				} else if _, ok := errors.AsType[*Error](err); ok {
					require.EqualError(t, checked, want, kind)
				}
			}
		})
	}
}

func TestTrustedOwnerIsAccepted(t *testing.T) {
	testkit.NeedRoot(t)
	s := newSite(t)
	for _, path := range []string{s.above, s.folder, s.file} {
		require.NoError(t, os.Chown(path, 1000, 50))
	}
	chmod(t, s.file, 0o440)
	_, _, err := Rules{}.ReadFile(s.file, 100)
	require.ErrorContains(t, err, "the folder "+s.above+" belongs to the user 1000")
	rules := Rules{Profile: Source, Readers: OwnerOnly, TrustOwners: []uint32{7, 1000}}
	_, _, err = rules.ReadFile(s.file, 100)
	require.NoError(t, err, "and its group may read what comes from outside")
	require.NoError(t, os.Chown(s.folder, 8, 50))
	_, _, err = rules.ReadFile(s.file, 100)
	require.EqualError(t, err, s.file+": the folder "+s.folder+" belongs to the user 8; only root and the user 7 and the user 1000 are trusted; do: chown 0 "+s.folder+", or trust that user with --trust-owner 8")
}

// A group may write where each of its members is trusted.
func TestGroupIsTrustedIfAllMembersAre(t *testing.T) {
	testkit.NeedRoot(t)
	dir := t.TempDir()
	groupFile, passwdFile = filepath.Join(dir, "group"), filepath.Join(dir, "passwd")
	t.Cleanup(func() { groupFile, passwdFile = "/etc/group", "/etc/passwd" })
	require.NoError(t, os.WriteFile(passwdFile, []byte("root:x:0:0::/:\nann:x:1000:1000::/:\nbob:x:1001:100::/:\nbroken\ndaemon:x:5:5::/:\n"), 0o600))
	require.NoError(t, os.WriteFile(groupFile, []byte("staff:x:50:\nadm:x:4:root,ann\nroots:x:60:root\nusers:x:100:\nann:x:1000:\ngone:x:70:eve\n"), 0o600))
	for gid, says := range map[int]string{
		0: "", 50: "", 60: "",
		4:    "the group 4, of which ann is a member",
		100:  "the group 100, of which bob is a member",
		1000: "the group 1000, of which ann is a member",
		70:   "the group 70, of which eve is a member",
		71:   "the group 71, whose members are not known",
	} {
		s := newSite(t)
		require.NoError(t, os.Chown(s.file, 0, gid))
		chmod(t, s.file, 0o660)
		_, _, err := Rules{}.ReadFile(s.file, 100)
		if says == "" {
			require.NoError(t, err, gid)
		} else {
			require.ErrorContains(t, err, s.file+": it can be written by "+says+" (mode 0660)")
		}
	}
	s := newSite(t)
	require.NoError(t, os.Chown(s.file, 0, 4))
	chmod(t, s.file, 0o660)
	_, _, err := Rules{TrustOwners: []uint32{1000}}.ReadFile(s.file, 100)
	require.NoError(t, err, "ann is trusted")
}

// The write permission of a POSIX ACL counts, bounded by its mask.
func TestACLThatGivesWritePermissionIsRefused(t *testing.T) {
	testkit.NeedRoot(t)
	setfacl := testkit.NeedProgram(t, "setfacl", "acl")
	for acl, says := range map[string]string{
		"u:1000:rw":      "it can be written by the user 1000, by its ACL (mode 0660); do: setfacl -x u:1000 ",
		"g:4711:rw":      "it can be written by the group 4711, by its ACL, whose members are not known (mode 0660); do: setfacl -x g:4711 ",
		"u:1000:rw,m::r": "",
		"u:1000:r":       "",
		"u:0:rw":         "",
	} {
		s := newSite(t)
		if out, err := exec.Command(setfacl, "-m", acl, s.file).CombinedOutput(); err != nil {
			t.Skip("no ACLs on this file system: ", string(out))
		}
		_, _, err := Rules{}.ReadFile(s.file, 100)
		if says == "" {
			require.NoError(t, err, acl)
		} else {
			require.ErrorContains(t, err, s.file+": "+says+s.file)
		}
	}
}

// Log files may be in a folder of root's that a group may write, such as /var/log on Ubuntu; but not a hard link.
func TestLogFileInFolderOfGroupHasNoOtherLink(t *testing.T) {
	testkit.NeedRoot(t)
	s := newSite(t)
	require.NoError(t, os.Chown(s.folder, 0, 4711))
	chmod(t, s.folder, 0o775)
	rules := Rules{Log: true, MaxLinks: 1}
	f, _, err := rules.Open(s.file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, os.Link(s.file, s.file+".2"))
	_, _, err = rules.Open(s.file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	require.EqualError(t, err, s.file+": it has 2 hard links, and a group may write to the folder "+s.folder+"; remove the other links, or do: chmod g-w "+s.folder)
	require.NoError(t, os.Chown(s.folder, 1000, 4711))
	_, _, err = rules.Open(s.file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	require.ErrorContains(t, err, "the folder "+s.folder+" belongs to the user 1000")
}

func TestFolderForNewFilesMustBePrivate(t *testing.T) {
	testkit.NeedRoot(t)
	s := newSite(t)
	require.NoError(t, Rules{}.Folder(s.folder))
	require.NoError(t, os.Symlink("folder", s.folder+".link"))
	require.NoError(t, Rules{}.Folder(s.folder+".link"))
	chmod(t, s.folder, 0o777|fs.ModeSticky)
	require.EqualError(t, Rules{}.Folder(s.folder), s.folder+": it can be written by any user (mode 1777); use a folder of its own, with mode 0700")
	chmod(t, s.folder, 0o755)
	require.NoError(t, os.Chown(s.folder, 1000, 50))
	require.ErrorContains(t, Rules{}.Folder(s.folder), s.folder+": it belongs to the user 1000; only root is trusted")
	require.ErrorContains(t, Rules{}.Folder(s.file), "belongs to the user 1000")
	require.NoError(t, os.Chown(s.folder, 0, 0))
	require.EqualError(t, Rules{}.Folder(s.file), "open "+s.file+": not a directory")
	require.ErrorIs(t, Rules{}.Folder(s.folder+"/none"), fs.ErrNotExist)
}

// Files that root makes belong to the owner of the folder.
func TestNewFilesOfRootTakeTheOwnerOfTheirFolder(t *testing.T) {
	testkit.NeedRoot(t)
	s := newSite(t)
	require.NoError(t, os.Chown(s.folder, 1000, 50))
	rules := Rules{TrustOwners: []uint32{1000}}
	owner := func(path string) string {
		info, err := os.Lstat(path)
		require.NoError(t, err)
		stat := info.Sys().(*syscall.Stat_t)
		return fmt.Sprintf("%d:%d %v", stat.Uid, stat.Gid, info.Mode())
	}
	f, _, err := rules.Open(s.folder+"/new", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, "1000:50 -rw-------", owner(s.folder+"/new"))
	require.NoError(t, rules.MakeFolder(s.folder+"/a/b", 0o700))
	require.Equal(t, "1000:50 drwx------", owner(s.folder+"/a"))
	require.Equal(t, "1000:50 drwx------", owner(s.folder+"/a/b"))
	require.NoError(t, rules.MakeFolder(s.above+"/root", 0o700))
	require.Equal(t, "0:0 drwx------", owner(s.above+"/root"))
	require.ErrorContains(t, Rules{}.MakeFolder(s.folder+"/c", 0o700), "belongs to the user 1000")
	require.NoDirExists(t, s.folder+"/c")
	_, _, err = rules.Open(s.folder+"/x/new", os.O_RDWR|os.O_CREATE, 0o600)
	require.EqualError(t, err, "create "+s.folder+"/x/new: no such file or directory; make the folder "+s.folder+"/x first, with mode 0700")
	_, _, err = rules.Open(s.folder+"/new", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	require.ErrorIs(t, err, fs.ErrExist)
}

// No file is made through a symbolic link.
func TestNoFileIsMadeThroughALink(t *testing.T) {
	s := newSite(t)
	require.NoError(t, os.Symlink("target", s.folder+"/link"))
	_, _, err := Rules{Profile: Source}.Open(s.folder+"/link", os.O_RDWR|os.O_CREATE, 0o600)
	require.EqualError(t, err, "open "+s.folder+"/link: no such file or directory: the symbolic link "+s.folder+"/link leads to no file")
	require.NoFileExists(t, s.folder+"/target")
}

func TestRelativePathsAndDotsAreResolved(t *testing.T) {
	s := newSite(t)
	t.Chdir(s.folder)
	require.NoError(t, os.Symlink(s.dir, s.folder+"/up"))
	for _, path := range []string{"file", "./file", "../folder/file", "up/above//folder/file", s.folder + "/../folder/./file", "up/above/../above/folder/file"} {
		text, _, err := Rules{}.ReadFile(path, 100)
		require.NoError(t, err, path)
		require.Equal(t, "text", string(text))
		resolved, err := Rules{}.Resolve(path)
		require.NoError(t, err)
		require.Equal(t, s.file, resolved)
	}
	_, _, err := Rules{}.ReadFile("", 100)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, _, err = Rules{}.ReadFile("file", 3)
	require.EqualError(t, err, "file: it is longer than 3 bytes")
}

// A daemon that does not run as root trusts root and its own user, and its errors say why it may not open a file.
func TestUnprivilegedProcessTrustsRootAndItself(t *testing.T) {
	const variable = "TRUSTEDPATH_AS_USER"
	if path := os.Getenv(variable); path != "" {
		for _, name := range []string{"own", "roots", "theirs", "private", "shared"} {
			_, _, err := Rules{}.ReadFile(filepath.Join(path, name), 100)
			fmt.Println(name, err)
		}
		return
	}
	testkit.NeedRoot(t)
	dir, err := os.MkdirTemp("/tmp", "rp")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	chmod(t, dir, 0o755)
	for name, f := range map[string]struct {
		uid, gid int
		mode     fs.FileMode
	}{
		"own": {4711, 4711, 0o664}, "roots": {0, 4711, 0o640}, "theirs": {1000, 4711, 0o644},
		"private": {0, 0, 0o600}, "shared": {4711, 4712, 0o664},
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
		require.NoError(t, os.Chown(path, f.uid, f.gid))
		chmod(t, path, f.mode)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip(err)
	}
	program := filepath.Join(dir, "test")
	require.NoError(t, os.WriteFile(program, self, 0o755))
	cmd := exec.Command(program, "-test.run=^"+t.Name()+"$", "-test.v=false")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), variable+"="+dir, testkit.Require+"=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4711, Gid: 4711}}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, strings.ReplaceAll(`own <nil>
roots <nil>
theirs DIR/theirs: it belongs to the user 1000; only root and the user 4711 (this process) are trusted; do: chown 4711 DIR/theirs, or trust that user with --trust-owner 1000
private DIR/private: permission denied: it belongs to the user 0 (mode 0600), and this process runs as the user 4711; give it to that user, or run as its owner
shared DIR/shared: it can be written by the group 4712, whose members are not known (mode 0664); do: chmod g-w DIR/shared
PASS
`, "DIR", dir), string(out))
}
