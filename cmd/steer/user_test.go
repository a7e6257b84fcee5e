package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/transport"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// executeCommand runs one of steer's own commands.
func executeCommand(t *testing.T, cmd *cobra.Command, args ...string) (stderr string, err error) {
	t.Helper()
	var output bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetErr(&output)
	cmd.SetOut(&output)
	err = cmd.ExecuteContext(t.Context())
	return output.String(), err
}

// runUser runs "steer user".
func runUser(t *testing.T, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	_, err = executeCommand(t, userCommand(strings.NewReader(stdin), &out), args...)
	return out.String(), err
}

// passwordAccepted reports whether a daemon with this users-file accepts the password.
func passwordAccepted(t *testing.T, path, name, password string) bool {
	t.Helper()
	users, err := secrets.OpenUsers(path)
	require.NoError(t, err)
	_, err = (&secrets.Authenticator{Users: users}).Authenticate(context.Background(), transport.Claim{User: name, Password: password})
	return err == nil
}

func TestUserAddPasswdRemoveList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	stderr, err := executeCommand(t, userCommand(strings.NewReader("correct horse\nignored"), nil), "add", path, "ann", "--role", "operator")
	require.NoError(t, err)
	require.Equal(t, path+" is a new file.\n", stderr)
	require.True(t, passwordAccepted(t, path, "ann", "correct horse"))

	out, err := runUser(t, "battery staple\r\n", "add", path, "bob", "--role=monitor")
	require.NoError(t, err)
	require.Empty(t, out)
	require.True(t, passwordAccepted(t, path, "bob", "battery staple"))

	stderr, err = executeCommand(t, userCommand(strings.NewReader("correct horse"), nil), "add", path, "cleo", "--role", "dns-editor")
	require.NoError(t, err)
	require.Equal(t, "The daemon must have a [[role]] with the name \"dns-editor\"; otherwise the role allows nothing.\n", stderr)
	_, err = runUser(t, "", "remove", path, "cleo")
	require.NoError(t, err)

	_, err = runUser(t, "another one", "passwd", path, "ann")
	require.NoError(t, err)
	require.True(t, passwordAccepted(t, path, "ann", "another one"))
	require.False(t, passwordAccepted(t, path, "ann", "correct horse"))

	out, err = runUser(t, "", "list", path)
	require.NoError(t, err)
	require.Equal(t, "ann  operator\nbob  monitor\n", out)

	_, err = runUser(t, "", "remove", path, "ann")
	require.NoError(t, err)
	out, err = runUser(t, "", "list", path)
	require.NoError(t, err)
	require.Equal(t, "bob  monitor\n", out)
}

func TestUserWrongArguments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	_, err := runUser(t, "correct horse", "add", path, "ann", "--role", "operator")
	require.NoError(t, err)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, test := range []struct {
		stdin, args, want string
	}{
		{"", "", "a subcommand is missing; see steer user --help"},
		{"", "ad", `unknown command "ad"`},
		{"", "add " + path, "accepts 2 arg(s), received 1"},
		{"correct horse", "add " + path + " bob", `required flag(s) "role" not set`},
		{"correct horse", "add " + path + " bob correct-horse --role admin", "accepts 2 arg(s), received 3"},
		{"correct horse", "add " + path + " bob --role Boss", `"Boss" is no name for a role`},
		{"correct horse", "add " + path + " b/b --role admin", `"b/b" is no name for a user`},
		{"correct horse", "add " + path + " ann --role admin", `there is a user "ann" already`},
		{"correct horse", "add " + path + "/x ann --role admin", "not a directory"},
		{"", "add " + path + " bob --role admin", "no password given: it is the first line of standard input"},
		{"\ncorrect horse", "add " + path + " bob --role admin", "no password given"},
		{"short\n", "add " + path + " bob --role admin", "too short: at least 8 bytes"},
		{strings.Repeat("x", 1<<20), "add " + path + " bob --role admin", "too long: at most 1024 bytes"},
		{"correct \xff horse", "add " + path + " bob --role admin", "not UTF-8"},
		{"correct horse", "passwd " + path + " bob", `there is no user "bob" in ` + path},
		{"short", "passwd " + path + " ann", "too short"},
		{"", "remove " + path + " bob", `there is no user "bob"`},
		{"", "list " + path + "x", "no such file or directory; check the file name"},
		{"", "remove " + path + "x ann", "check the file name"},
		{"correct horse", "passwd " + path + "x ann", "check the file name"},
	} {
		out, err := runUser(t, test.stdin, strings.Fields(test.args)...)
		require.ErrorContains(t, err, test.want, test.args)
		require.NotContains(t, err.Error(), "horse")
		require.Empty(t, out)
	}
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
	require.NoFileExists(t, path+"x")
	require.NoError(t, os.Chmod(path, 0o644))
	_, err = runUser(t, "correct horse", "add", path, "bob", "--role", "admin")
	require.ErrorContains(t, err, "do: chmod 600 ")
}
