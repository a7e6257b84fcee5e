package trustedpath

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// In the initial namespace each user has a number; in another one all users without a number share one.
func TestUnmappedUsersShareOneNumber(t *testing.T) {
	for _, test := range []struct {
		ids, number string
		want        uint32
	}{
		{"         0          0 4294967295\n", "65534\n", none},
		{"         0     100000      65536\n", "65534\n", 65534},
		{"         0          0          1\n", "99\n", 99},
		{"0 0 1000\n1000 1000 4294966295\n", "65534", 65534},
		{"", "", 65534},
		{"0 0 42949672950", "x", 65534},
	} {
		dir := t.TempDir()
		ids, number := filepath.Join(dir, "map"), filepath.Join(dir, "number")
		require.NoError(t, os.WriteFile(ids, []byte(test.ids), 0o600))
		require.NoError(t, os.WriteFile(number, []byte(test.number), 0o600))
		require.Equal(t, test.want, overflow(ids, number), test.ids)
	}
	require.EqualValues(t, 65534, overflow("/nonexistent", "/nonexistent"))
}
