package userns

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestComplete(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                   true, // no such file: a system without user namespaces
		"         0          0 4294967295\n": true,
		"         0       1000          1\n": false, // unshare -r
		"         0     100000      65536\n": false, // a container's, in which Nobody is somebody as well
		"         0       1000          1\n         1     100000      65536\n": false, // rootless
		"garbage": false,
	} {
		require.Equal(t, want, complete(text), "%q", text)
	}
	uid, ours := Self()
	require.Equal(t, os.Geteuid(), uid)
	require.True(t, ours || uid == Nobody)
}
