package secrets_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"

	"github.com/stretchr/testify/require"
)

// A hash of "password" from the reference implementation of argon2.
const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func write(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func openUsers(t testing.TB, path string) *secrets.Users {
	t.Helper()
	u, err := secrets.OpenUsers(path)
	require.NoError(t, err)
	return u
}

// names returns the names and roles of all users.
func names(u *secrets.Users) []string {
	all := []string{}
	for _, user := range u.List() {
		all = append(all, user.Name+" "+user.Role)
	}
	return all
}

func TestUsersAreAddedChangedAndRemoved(t *testing.T) {
	secrets.FakeHashes(t, 0)
	path := filepath.Join(t.TempDir(), "users")
	u := openUsers(t, path)
	require.Empty(t, u.List())
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	require.NoError(t, u.Add("ann", "admin", "correct horse"))
	require.NoError(t, u.Add("bob@example.org", "monitor", "battery staple"))
	require.EqualError(t, u.Add("ann", "monitor", "correct horse"), `there is a user "ann" already; give it another password, or remove it first`)
	require.Equal(t, []string{"ann admin", "bob@example.org monitor"}, names(u))
	require.Equal(t, names(u), names(openUsers(t, path)))
	require.NotContains(t, read(t, path), "correct")

	before := read(t, path)
	require.NoError(t, u.SetPassword("ann", "something else"))
	require.NotEqual(t, before, read(t, path))
	require.NoError(t, u.Remove("ann"))
	require.Equal(t, []string{"bob@example.org monitor"}, names(openUsers(t, path)))
	require.EqualError(t, u.Remove("ann"), `there is no user "ann"`)
	require.EqualError(t, u.SetPassword("ann", "something else"), `there is no user "ann"`)

	info, err = os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	require.NoError(t, err)
	require.Equal(t, []string{path, path + ".lock"}, left, "no temporary file is left")
}

func TestInvalidUsersAreRefused(t *testing.T) {
	secrets.FakeHashes(t, 0)
	u := openUsers(t, filepath.Join(t.TempDir(), "users"))
	for _, test := range []struct{ name, role, password, says string }{
		{"", "admin", "correct horse", `"" is no name for a user`},
		{"-ann", "admin", "correct horse", `"-ann" is no name for a user`},
		{"ann lee", "admin", "correct horse", "is no name"},
		{"ann\n", "admin", "correct horse", "is no name"},
		{"änn", "admin", "correct horse", "letters and digits of ASCII"},
		{"ann#", "admin", "correct horse", "is no name"},
		{"ann:", "admin", "correct horse", "is no name"},
		{strings.Repeat("a", 65), "admin", "correct horse", "is no name"},
		{strings.Repeat("a", 65536), "admin", "correct horse", "…"},
		{"ann", "", "correct horse", `"" is no name for a role: up to 64 lower-case letters`},
		{"ann", "Admin", "correct horse", `"Admin" is no name for a role`},
		{"ann", "op role", "correct horse", `"op role" is no name for a role`},
		{"ann", "admin", "", "too short: at least 8 bytes"},
		{"ann", "admin", "1234567", "too short"},
		{"ann", "admin", strings.Repeat("x", 1025), "too long: at most 1024 bytes"},
		{"ann", "admin", "correct \xff horse", "not UTF-8"},
	} {
		err := u.Add(test.name, test.role, test.password)
		require.ErrorContains(t, err, test.says, "%q", test)
		require.Less(t, len(err.Error()), 200)
	}
	require.Empty(t, u.List())
	require.NoError(t, u.Add(strings.Repeat("a", 64), "admin", strings.Repeat("x", 1024)))
	require.Error(t, u.SetPassword(strings.Repeat("a", 64), "short"))
}

func TestEditsKeepComments(t *testing.T) {
	secrets.FakeHashes(t, 0)
	path := filepath.Join(t.TempDir(), "users")
	text := "# name\r\n\n  ann\tadmin  " + reference + " # the boss # really\r\n\t# bob is on leave\nbob monitor " + reference + "#x"
	write(t, path, text)
	u := openUsers(t, path)
	require.Equal(t, []string{"ann admin", "bob monitor"}, names(u))

	require.NoError(t, u.Add("eve", "monitor", "correct horse"))
	require.True(t, strings.HasPrefix(read(t, path), text+"\neve monitor $argon2id$"), read(t, path))
	require.NoError(t, u.Remove("eve"))
	require.Equal(t, text+"\n", read(t, path))
	require.NoError(t, u.Remove("bob"))
	require.NoError(t, u.SetPassword("ann", "correct horse"))
	require.Regexp(t, `^# name\r\n\nann admin \$argon2id\S+ # the boss # really\n\t# bob is on leave\n$`, read(t, path))
}

func TestInvalidUsersFilesAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	line := "ann admin " + reference + "\n"
	for _, test := range []struct{ text, says string }{
		{"ann\n", path + ": line 1: it has 1 fields where it should have 3: NAME ROLE HASH"},
		{"# x\n\n" + line + "bob monitor x y\n", "line 4: it has 4 fields"},
		{line + line, `line 2: "ann" is in the file already, in line 1`},
		{"ann Boss " + reference, `line 1: "Boss" is no name for a role`},
		{"a/b admin " + reference, `line 1: "a/b" is no name`},
		{"\ufeff" + line, "is no name"},
		{"ann admin hunter2hunter2", `line 1: the hash of "ann": it is not of the form $argon2id$v=19$m=19456,t=2,p=1$SALT$SUM`},
		{"ann admin " + strings.Replace(reference, "argon2id", "argon2i", 1), "not of the form"},
		{"ann admin " + strings.Replace(reference, "v=19", "v=16", 1), "not of the form"},
		{"ann admin " + strings.Replace(reference, "65536", "65537", 1), "m=65537 is out of bounds: 8 to 65536"},
		{"ann admin " + strings.Replace(reference, "65536", "4294967296", 1), "not of the form"},
		{"ann admin " + strings.Replace(reference, "t=2", "t=0", 1), "t=0 is out of bounds: 1 to 10"},
		{"ann admin " + strings.Replace(reference, "t=2", "t=999999999", 1), "t=999999999 is out of bounds"},
		{"ann admin " + strings.Replace(reference, "p=1", "p=257", 1), "p=257 is out of bounds: 1 to 4"},
		{"ann admin " + strings.Replace(reference, "c29tZXNhbHQ", "c29t", 1), "must be 8 to 64 bytes in base64"},
		{"ann admin " + strings.Replace(reference, "c29tZXNhbHQ", "c29tZXNhbHR", 1), "must be 8 to 64 bytes in base64"},
		{"ann admin " + reference + strings.Repeat("AAAA", 20), "must be 8 to 64 bytes in base64"},
		{"ann\xff admin " + reference, "line 1: it is not UTF-8"},
		{"ann admin\x00 " + reference, "no name for a role"},
	} {
		write(t, path, test.text)
		_, err := secrets.OpenUsers(path)
		require.ErrorContains(t, err, test.says)
		require.NotContains(t, err.Error(), "hunter2", "an error may be logged")
		require.NotContains(t, err.Error(), "CTFhFdXPJO", "an error may be logged")
		require.Equal(t, test.text, read(t, path), "it is left as it is")
	}
}

// Concurrent changes by several programs are all kept, and a reader never sees a part of one.
func TestConcurrentChangesAreAllKept(t *testing.T) {
	secrets.FakeHashes(t, 0)
	path := filepath.Join(t.TempDir(), "users")
	var want []string
	var all sync.WaitGroup
	done := make(chan struct{})
	openUsers(t, path)
	for i := range 20 {
		name := fmt.Sprintf("user-%02d", i)
		want = append(want, name+" monitor")
		all.Go(func() {
			u, err := secrets.OpenUsers(path)
			if err != nil || u.Add(name, "monitor", "correct horse") != nil {
				t.Errorf("%s: not added, %v", name, err)
			}
		})
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := secrets.OpenUsers(path); err != nil {
				t.Error(err)
				return
			}
		}
	})
	all.Wait()
	close(done)
	reader.Wait()
	require.ElementsMatch(t, want, names(openUsers(t, path)))
}

func TestUserDoesNotPrintItsHash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, "ann admin "+reference+"\n")
	u := openUsers(t, path)
	said := fmt.Sprintf("%v %+v %#v", u.List()[0], u.List(), u.List()[0])
	require.NotContains(t, said, "CTFhFdXPJO")
	require.Equal(t, "user:ann", u.List()[0].Subject())
	require.Equal(t, "user:eve", secrets.User{Name: "eve"}.Subject())
	require.Equal(t, "token:ci", secrets.Token{ID: "ci"}.Subject())
	require.False(t, secrets.Token{}.Expired(time.Now()))
}
