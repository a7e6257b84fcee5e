package secrets_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

func TestCredentialIsRevokedWithItsSecretAndNotWithItsRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		users, err := secrets.OpenUsers(filepath.Join(dir, "users"))
		require.NoError(t, err)
		tokens, err := secrets.OpenTokens(filepath.Join(dir, "tokens"))
		require.NoError(t, err)
		a := &secrets.Authenticator{Users: users, Tokens: tokens}
		proves := func(claim transport.Claim) transport.Revocable {
			creds, err := a.Authenticate(context.Background(), claim)
			require.NoError(t, err)
			require.False(t, creds[0].(transport.Revocable).Revoked())
			return creds[0].(transport.Revocable)
		}
		for _, name := range []string{"ann", "bob", "cleo"} {
			require.NoError(t, users.Add(name, "admin", "correct horse"))
		}
		ann, bob, cleo := proves(transport.Claim{User: "ann", Password: "correct horse"}), proves(transport.Claim{User: "bob", Password: "correct horse"}), proves(transport.Claim{User: "cleo", Password: "correct horse"})
		require.NoError(t, users.SetPassword("ann", "battery staple"))
		require.NoError(t, users.Remove("bob"))
		require.True(t, ann.Revoked())
		require.True(t, bob.Revoked())
		require.False(t, cleo.Revoked())
		require.NoError(t, users.Add("bob", "admin", "correct horse"))
		require.True(t, bob.Revoked(), "the same password, but another user")
		text, err := os.ReadFile(filepath.Join(dir, "users"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "users"), []byte(strings.Replace(string(text), "cleo admin", "cleo monitor", 1)), 0o600))
		time.Sleep(time.Second)
		require.False(t, cleo.Revoked(), "a lowered role revokes nothing")
		require.NoError(t, os.WriteFile(filepath.Join(dir, "users"), nil, 0o600))
		require.False(t, cleo.Revoked())
		time.Sleep(time.Second)
		require.True(t, cleo.Revoked(), "another program has changed the file")

		mint := func(id string, expires time.Time) transport.Revocable {
			secret, err := tokens.Mint(id, "dns", expires)
			require.NoError(t, err)
			return proves(transport.Claim{Token: secret})
		}
		ci, ops, old := mint("ci", time.Now().Add(time.Minute)), mint("ops", time.Time{}), mint("old", time.Time{})
		time.Sleep(time.Minute)
		require.True(t, ci.Revoked(), "expired")
		require.NoError(t, tokens.Remove("ops"))
		require.True(t, ops.Revoked())
		again := mint("ops", time.Time{})
		require.True(t, ops.Revoked(), "another token of the same id")
		require.False(t, again.Revoked())
		require.False(t, old.Revoked())
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = old.Revoked() }))
	})
}

func TestUnprovenCredentialIsNotRevoked(t *testing.T) {
	require.False(t, secrets.User{Name: "ann"}.Revoked())
	require.False(t, secrets.Token{ID: "ci"}.Revoked())
}

func TestCheckRoleAcceptsOnlyRoleNames(t *testing.T) {
	for role, ok := range map[string]bool{
		"monitor": true, "dns-editor": true, "a": true, "r2": true, strings.Repeat("a", 64): true,
		"": false, "Dns": false, "2r": false, "-a": false, "a b": false, "a_b": false, "ädmin": false, "аdmin": false, "a\n": false, strings.Repeat("a", 65): false,
	} {
		require.Equal(t, ok, secrets.CheckRole(role) == nil, "%q", role)
	}
	for _, role := range secrets.Roles() {
		require.NoError(t, secrets.CheckRole(role))
	}
}
