package secrets_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

// A loginClient is an Authenticator with its files, and the claims of a client.
type loginClient struct {
	*secrets.Authenticator
	t     *testing.T
	users string // the path of the users-file
	token string // the secret of the token "ci", with the role monitor, for an hour
}

func newLoginClient(t *testing.T) *loginClient {
	t.Helper()
	dir := t.TempDir()
	d := &loginClient{t: t, users: filepath.Join(dir, "users")}
	d.Authenticator = &secrets.Authenticator{Users: openUsers(t, d.users), Tokens: openTokens(t, filepath.Join(dir, "tokens"))}
	require.NoError(t, d.Users.Add("ann", "operator", "correct horse"))
	var err error
	d.token, err = d.Tokens.Mint("ci", "monitor", time.Now().Add(time.Hour))
	require.NoError(t, err)
	return d
}

func from(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 40000} }

// login authenticates with a password.
func (d *loginClient) login(ip, name, password string) error {
	creds, err := d.Authenticate(d.t.Context(), transport.Claim{User: name, Password: password, From: from(ip)})
	d.requireSubject(creds, err, "user:"+name)
	return err
}

// show authenticates with a token.
func (d *loginClient) show(ip, token string) error {
	creds, err := d.Authenticate(d.t.Context(), transport.Claim{Token: token, From: from(ip)})
	d.requireSubject(creds, err, "token:ci")
	return err
}

func (d *loginClient) requireSubject(creds []transport.Credential, err error, subject string) {
	if err != nil {
		require.Empty(d.t, creds)
		return
	}
	require.Len(d.t, creds, 1)
	require.Equal(d.t, subject, creds[0].Subject())
}

// slowed requires a *SlowDownError, and returns its After.
func slowed(t *testing.T, err error) time.Duration {
	t.Helper()
	slow, ok := errors.AsType[*transport.SlowDownError](err)
	require.True(t, ok, "%v", err)
	return slow.After
}

func TestOnlyExactClaimsAreAuthenticated(t *testing.T) {
	secrets.FakeHashes(t, 0)
	d := newLoginClient(t)
	authenticate := func(claim transport.Claim) ([]transport.Credential, error) {
		a := &secrets.Authenticator{Users: d.Users, Tokens: d.Tokens} // a new one, without a record of failures
		return a.Authenticate(t.Context(), claim)
	}
	creds, err := authenticate(transport.Claim{User: "ann", Password: "correct horse"})
	require.NoError(t, err)
	require.Equal(t, "operator", creds[0].(secrets.User).Role)
	creds, err = authenticate(transport.Claim{Token: d.token})
	require.NoError(t, err)
	require.Equal(t, "monitor", creds[0].(secrets.Token).Role)
	require.Equal(t, "token:ci", creds[0].Subject())

	for _, claim := range []transport.Claim{
		{},
		{User: "ann"},
		{Password: "correct horse"},
		{User: "ann", Password: "correct hors"},
		{User: "ann", Password: "correct horse "},
		{User: "ann", Password: "correct horse\x00"},
		{User: "ann", Password: "Correct horse"},
		{User: "ann", Password: strings.Repeat("x", 1025)},
		{User: "ann", Password: "correct \xff horse"},
		{User: "Ann", Password: "correct horse"},
		{User: "ann ", Password: "correct horse"},
		{User: "bob", Password: "correct horse"},
		{User: strings.Repeat("a", 1<<20), Password: "correct horse"},
		{User: "ann", Password: "correct horse", Token: d.token},
		{User: "ann", Password: d.token},
		{Token: "x"},
		{Token: "rpt_"},
		{Token: "rpt_ci"},
		{Token: "rpt_ci_"},
		{Token: "rpt__"},
		{Token: "ci"},
		{Token: d.token[:len(d.token)-1]},
		{Token: d.token + "="},
		{Token: d.token + "\n"},
		{Token: strings.ToUpper(d.token)},
		{Token: strings.Replace(d.token, "_ci_", "_ops_", 1)},
		{Token: strings.TrimPrefix(d.token, "rpt_")},
		{User: "ci", Password: d.token},
	} {
		creds, err := authenticate(claim)
		require.Equal(t, transport.ErrWrongCredentials, err, "%+v", claim)
		require.Nil(t, creds)
	}
	for _, claim := range []transport.Claim{{}, {User: "ann", Password: "correct horse"}, {Token: d.token}, {Token: "rpt_ci_"}} {
		_, err := (&secrets.Authenticator{}).Authenticate(t.Context(), claim)
		require.Equal(t, transport.ErrWrongCredentials, err, "the zero value refuses")
	}
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("cancelled"))
	_, err = d.Authenticate(gone, transport.Claim{Token: d.token})
	require.EqualError(t, err, "cancelled")
}

func TestHashOfTheReferenceImplementationIsVerified(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, "ann admin "+reference+"\n")
	a := &secrets.Authenticator{Users: openUsers(t, path)}
	_, err := a.Authenticate(t.Context(), transport.Claim{User: "ann", Password: "password"})
	require.NoError(t, err)
	_, err = a.Authenticate(t.Context(), transport.Claim{User: "ann", Password: "passwort"})
	require.Equal(t, transport.ErrWrongCredentials, err)
}

// An unknown user costs a hash as a known one does, also when the file is empty.
func TestUnknownUserCostsAHash(t *testing.T) {
	made, _ := secrets.FakeHashes(t, 0)
	d := newLoginClient(t)
	cost := func(name, password string) int64 {
		before := made.Load()
		require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.1", name, password))
		return made.Load() - before
	}
	require.Equal(t, int64(1), cost("ann", "wrong"))
	require.Equal(t, int64(1), cost("bob", "wrong"))
	require.Equal(t, int64(1), cost("bob", "correct horse"), "also with the password of the user whose hash is compared")
	require.NoError(t, d.Users.Remove("ann"))
	require.Equal(t, int64(1), cost("ann", "correct horse"))
}

func TestRightPasswordIsHashedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, _ := secrets.FakeHashes(t, 0)
		d := newLoginClient(t)
		require.NoError(t, d.Users.Add("bob", "monitor", "battery staple"))
		cost := func(name, password string) int64 {
			before := made.Load()
			err := d.login("192.0.2.1", name, password)
			require.Equal(t, strings.HasPrefix(password, "right:"), err == nil, "%v", err)
			return made.Load() - before
		}
		require.NoError(t, d.Users.SetPassword("ann", "right: ann's"))
		require.NoError(t, d.Users.SetPassword("bob", "right: bob's"))

		require.Equal(t, int64(1), cost("ann", "right: ann's"))
		for range 100 {
			require.Zero(t, cost("ann", "right: ann's"))
		}
		require.Equal(t, int64(1), cost("ann", "wrong"))
		require.Zero(t, cost("ann", "right: ann's"), "a wrong one in between changes nothing")
		require.Equal(t, int64(1), cost("bob", "right: bob's"))
		require.Equal(t, int64(1), cost("unknown", "ann's password"))
		time.Sleep(time.Minute)
		require.Equal(t, int64(1), cost("ann", "right: ann's"))

		require.NoError(t, d.Users.SetPassword("ann", "right: another"))
		require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.2", "ann", "right: ann's"), "at once")
		require.Equal(t, int64(1), cost("ann", "right: another"))
		require.Zero(t, cost("ann", "right: another"))

		require.NoError(t, d.Users.Remove("ann"))
		require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.2", "ann", "right: another"), "at once")
		require.NoError(t, d.Users.Add("ann", "admin", "right: a third"))
		require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.2", "ann", "right: another"))
		require.Equal(t, int64(1), cost("ann", "right: a third"))

		write(t, d.users, "")
		time.Sleep(time.Second)
		require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.2", "ann", "right: a third"), "by an editor")
	})
}

func TestTokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newLoginClient(t)
		require.NoError(t, d.show("192.0.2.1", d.token))
		role, ok := d.Tokens.Role(d.Tokens.List()[0])
		require.True(t, ok)
		require.Equal(t, "monitor", role)

		time.Sleep(time.Hour - time.Nanosecond)
		require.NoError(t, d.show("192.0.2.1", d.token))
		time.Sleep(time.Nanosecond)
		for range 20 { // this is not counted as a failure
			require.Equal(t, transport.ErrWrongCredentials, d.show("192.0.2.1", d.token))
		}
		_, ok = d.Tokens.Role(d.Tokens.List()[0])
		require.False(t, ok)
	})
}

// A credential has no role after its secret was replaced, also if the name still exists.
func TestCredentialEndsWithItsSecret(t *testing.T) {
	secrets.FakeHashes(t, 0)
	d := newLoginClient(t)
	creds, err := d.Authenticate(t.Context(), transport.Claim{User: "ann", Password: "correct horse"})
	require.NoError(t, err)
	ann := creds[0].(secrets.User)
	creds, err = d.Authenticate(t.Context(), transport.Claim{Token: d.token})
	require.NoError(t, err)
	ci := creds[0].(secrets.Token)

	role, ok := d.Users.Role(ann)
	require.True(t, ok)
	require.Equal(t, "operator", role)
	require.NoError(t, d.Users.Add("bob", "monitor", "battery staple"))
	_, ok = d.Users.Role(ann)
	require.True(t, ok, "other lines do not matter")

	require.NoError(t, d.Users.SetPassword("ann", "another one"))
	_, ok = d.Users.Role(ann)
	require.False(t, ok)
	_, ok = d.Users.Role(secrets.User{Name: "ann"})
	require.True(t, ok, "a User that was not proven is looked up by its name")

	require.NoError(t, d.Tokens.Remove("ci"))
	_, ok = d.Tokens.Role(ci)
	require.False(t, ok)
	_, err = d.Tokens.Mint("ci", "admin", time.Time{})
	require.NoError(t, err)
	_, ok = d.Tokens.Role(ci)
	require.False(t, ok)
}
