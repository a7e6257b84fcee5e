package secrets_test

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"

	"github.com/stretchr/testify/require"
)

func openTokens(t testing.TB, path string) *secrets.Tokens {
	t.Helper()
	tokens, err := secrets.OpenTokens(path)
	require.NoError(t, err)
	return tokens
}

func TestTokensAreMintedAndRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "tokens")
		tokens := openTokens(t, path)
		secret, err := tokens.Mint("ci-2", "monitor", time.Now().Add(time.Hour+time.Millisecond))
		require.NoError(t, err)
		require.Regexp(t, `^rpt_ci-2_[A-Za-z0-9_-]{43}$`, secret)
		sum := sha256.Sum256([]byte(secret))
		require.Equal(t, "ci-2 monitor 2000-01-01T01:00:00Z "+hex.EncodeToString(sum[:])+"\n", read(t, path))

		other, err := tokens.Mint("ops", "admin", time.Time{})
		require.NoError(t, err)
		require.NotEqual(t, secret[9:], other[8:])
		require.Contains(t, read(t, path), "\nops admin never ")

		for _, list := range [][]secrets.Token{tokens.List(), openTokens(t, path).List()} {
			require.Len(t, list, 2)
			require.Equal(t, "ci-2", list[0].ID)
			require.Equal(t, time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC), list[0].Expires)
			require.True(t, list[1].Expires.IsZero())
		}
		_, err = tokens.Mint("ops", "admin", time.Time{})
		require.EqualError(t, err, `there is a token "ops" already; remove it first, or choose another id`)
		require.NoError(t, tokens.Remove("ops"))
		require.EqualError(t, tokens.Remove("ops"), `there is no token "ops"`)
		require.Len(t, tokens.List(), 1)
	})
}

func TestInvalidTokensAreRefused(t *testing.T) {
	tokens := openTokens(t, filepath.Join(t.TempDir(), "tokens"))
	for _, test := range []struct {
		id, role string
		expires  time.Time
		says     string
	}{
		{"", "admin", time.Time{}, `"" is no id for a token`},
		{"CI", "admin", time.Time{}, `"CI" is no id for a token`},
		{"c_i", "admin", time.Time{}, "is no id"},
		{"-ci", "admin", time.Time{}, "is no id"},
		{"ci\n", "admin", time.Time{}, "is no id"},
		{strings.Repeat("a", 65), "admin", time.Time{}, "is no id"},
		{"ci", "9lives", time.Time{}, `"9lives" is no name for a role`},
		{"ci", "admin", time.Now(), "which is in the past"},
		{"ci", "admin", time.Unix(0, 0), "1970-01-01T00:00:00Z, which is in the past"},
		{"ci", "admin", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "after the year 9999"},
	} {
		secret, err := tokens.Mint(test.id, test.role, test.expires)
		require.ErrorContains(t, err, test.says, "%v", test)
		require.Empty(t, secret)
	}
	require.Empty(t, tokens.List())
}

func TestInvalidTokensFilesAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	sum := strings.Repeat("a1", 32)
	for _, test := range []struct{ text, says string }{
		{"ci monitor " + sum, "line 1: it has 3 fields where it should have 4: ID ROLE EXPIRES SHA-256"},
		{"ci re_ader never " + sum, `"re_ader" is no name for a role`},
		{"Ci monitor never " + sum, `"Ci" is no id`},
		{"ci monitor always " + sum, `"always" is no expiry time of a token; write one like 2027-01-01T00:00:00Z, or never`},
		{"ci monitor 2027-01-01 " + sum, "is no expiry time"},
		{"ci monitor 2027-02-30T00:00:00Z " + sum, "is no expiry time"},
		{"ci monitor 0001-01-01T00:00:00Z " + sum, "is no expiry time"}, // the zero time would mean never
		{"ci monitor never " + sum + "a", `the sum of "ci" is not the 64 hexadecimal digits`},
		{"ci monitor never " + sum[1:], "64 hexadecimal digits"},
		{"ci monitor never " + sum[2:], "64 hexadecimal digits"},
		{"ci monitor never " + sum[:63] + "x", "64 hexadecimal digits"},
		{"ci monitor never rpt_ci_" + sum[7:], "64 hexadecimal digits"},
	} {
		write(t, path, "# tokens\n"+test.text)
		_, err := secrets.OpenTokens(path)
		require.ErrorContains(t, err, strings.Replace(test.says, "line 1", "line 2", 1))
		require.NotContains(t, err.Error(), "a1a1a1", "an error may be logged")
	}
	write(t, path, "ci monitor 2027-01-01T02:00:00.5+02:00 "+strings.ToUpper(sum)+" # from elsewhere\n")
	require.Equal(t, time.Date(2027, 1, 1, 0, 0, 0, 5e8, time.UTC), openTokens(t, path).List()[0].Expires)
}
