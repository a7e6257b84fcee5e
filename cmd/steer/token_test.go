package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

// runToken runs "steer token".
func runToken(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out bytes.Buffer
	stderr, err = executeCommand(t, tokenCommand(&out), args...)
	return out.String(), stderr, err
}

// tokenAccepted reports whether a daemon with this tokens-file accepts the token.
func tokenAccepted(t *testing.T, path, token string) bool {
	t.Helper()
	tokens, err := secrets.OpenTokens(path)
	require.NoError(t, err)
	_, err = (&secrets.Authenticator{Tokens: tokens}).Authenticate(context.Background(), transport.Claim{Token: token})
	return err == nil
}

func TestTokenMintListRemove(t *testing.T) {
	dir := t.TempDir()
	path, to := filepath.Join(dir, "tokens"), filepath.Join(dir, "ci.token")
	out, stderr, err := runToken(t, "mint", path, "ci", "--role", "monitor", "--expires", "2100-01-01")
	require.NoError(t, err)
	require.Regexp(t, `^rpt_ci_[A-Za-z0-9_-]{43}\n$`, out)
	require.Equal(t, path+" is a new file.\nThe token \"ci\" expires: 2100-01-01T00:00:00Z.\n", stderr)
	require.True(t, tokenAccepted(t, path, strings.TrimSpace(out)))

	out, stderr, err = runToken(t, "mint", path, "ops", "--role", "admin", "--expires", "never", "--to", to)
	require.NoError(t, err)
	require.Empty(t, out)
	require.Equal(t, "The token \"ops\" expires: never.\n", stderr)
	info, err := os.Lstat(to)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	secret, err := os.ReadFile(to)
	require.NoError(t, err)
	require.True(t, tokenAccepted(t, path, strings.TrimSpace(string(secret))))

	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("old monitor 2020-01-01T00:00:00Z " + strings.Repeat("0a", 32) + "\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	out, _, err = runToken(t, "list", path)
	require.NoError(t, err)
	require.Equal(t, "ci   monitor  2100-01-01T00:00:00Z\nops  admin    never\nold  monitor  2020-01-01T00:00:00Z (expired)\n", out)

	_, _, err = runToken(t, "remove", path, "ops")
	require.NoError(t, err)
	require.False(t, tokenAccepted(t, path, strings.TrimSpace(string(secret))))
}

// A token that cannot be written out is removed again, and no existing file is overwritten.
func TestUndeliveredTokenIsRemoved(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tokens")
	list := func() string {
		out, _, err := runToken(t, "list", path)
		require.NoError(t, err)
		return out
	}
	_, err := executeCommand(t, tokenCommand(closedPipe{}), "mint", path, "ci", "--role", "monitor")
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.Empty(t, list())

	there := filepath.Join(dir, "there")
	require.NoError(t, os.WriteFile(there, []byte("mine"), 0o644))
	require.NoError(t, os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link")))
	for _, to := range []string{there, filepath.Join(dir, "link"), filepath.Join(dir, "no", "such")} {
		_, _, err := runToken(t, "mint", path, "ci", "--role", "monitor", "--to", to)
		require.Error(t, err)
		require.Empty(t, list())
	}
	kept, err := os.ReadFile(there)
	require.NoError(t, err)
	require.Equal(t, "mine", string(kept))
	require.NoFileExists(t, filepath.Join(dir, "elsewhere"))

	to := filepath.Join(dir, "to")
	_, _, err = runToken(t, "mint", path, "CI", "--role", "monitor", "--to", to)
	require.ErrorContains(t, err, `"CI" is no id for a token`)
	require.NoFileExists(t, to)
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestTokenWrongArguments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	_, _, err := runToken(t, "mint", path, "ci", "--role", "monitor")
	require.NoError(t, err)
	for args, want := range map[string]string{
		"":                                  "a subcommand is missing; see steer token --help",
		"mint " + path + " ops":             `required flag(s) "role" not set`,
		"mint " + path + " ops --role X":    `"X" is no name for a role`,
		"mint " + path + " ci --role admin": `there is a token "ci" already`,
		"mint " + path + " ops --role admin --expires soon":       `--expires "soon" is not a time; write one such as 24h, 90d, 2027-01-01`,
		"mint " + path + " ops --role admin --expires 2020-01-01": "in the past",
		"mint " + path + " ops --role admin --expires=-1h":        "in the past",
		"mint " + path + " ops --role admin --expires 0d":         "in the past",
		"remove " + path + " ops":                                 `there is no token "ops"`,
		"remove " + path + "x ops":                                "check the file name",
		"list " + path + "x":                                      "check the file name",
	} {
		out, _, err := runToken(t, strings.Fields(args)...)
		require.ErrorContains(t, err, want, args)
		require.Empty(t, out)
	}
}

func TestParseExpires(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.FixedZone("", 3600))
	for text, want := range map[string]string{
		"24h": "2026-11-23T11:00:00Z", "90m": "2026-11-22T12:30:00Z", "90d": "2027-02-20T11:00:00Z", "1d": "2026-11-23T11:00:00Z",
		"2027-01-01": "2027-01-01T00:00:00Z", "2027-01-01T12:00:00+02:00": "2027-01-01T10:00:00Z", "never": "never",
		"": "", "d": "", "-1d": "", "1.5d": "", "99999d": "", "tomorrow": "", "2027-02-30": "", "Never": "", "90": "", "01/02/2027": "",
	} {
		at, err := parseExpires(text, now)
		require.Equal(t, want == "", err != nil, text)
		if err == nil {
			require.Equal(t, want, formatExpiry(at), text)
		}
	}
}
